#include "py_request.h"

/* What PSP pages write with: see _psp_code.py. */

/* Whether somebody has put another write() into the request. */
static int has_own_write(const mp_request *self)
{
    PyObject *name = mp_interp_state(self->interp)->name_write;
    PyObject *dict = Py_XNewRef(self->dict); /* a key's __eq__ may put another in its place */
    int result = dict ? PyDict_Contains(dict, name) : 0;

    Py_XDECREF(dict);
    return result;
}

/* write() as a program would call it; text may be NULL. */
static PyObject *write_joined(PyObject *op, PyObject *value, PyObject *text)
{
    PyObject *joined = text ? PyUnicode_Concat(value, text) : Py_NewRef(value);
    PyObject *result = joined ? PyObject_CallMethod(op, "write", "Oi", joined, 0) : NULL;

    Py_XDECREF(joined);
    return result;
}

/* Copies both behind what was written before: 1; 0 if that could block, or is no matter of
 * copying; -1 with an exception. */
static int gather(mp_request *self, PyObject *value, PyObject *text)
{
    mp_body_out *out = &self->context->out;
    Py_ssize_t size, text_size = 0;
    const char *utf8 = PyUnicode_AsUTF8AndSize(value, &size);
    const char *text_utf8 = utf8 && text ? PyUnicode_AsUTF8AndSize(text, &text_size) : NULL;
    request_rec *r;
    int is_own;

    if (!utf8 || (text && !text_utf8) || (is_own = has_own_write(self)) < 0 ||
        !(r = mp_request_record(self))) {
        return -1;
    }
    if (is_own || out->has_limit || !mp_body_fits(r, out, (apr_size_t)(size + text_size))) {
        return 0;
    }
    mp_body_gather(r, out, utf8, (apr_size_t)size);
    if (text) {
        mp_body_gather(r, out, text_utf8, (apr_size_t)text_size);
    }
    return 1;
}

PyDoc_STRVAR(write_piece_doc, "_write_piece($self, value, text='', /)\n--\n\n\
write(str(value) + text, 0); a text of None says that value is text itself.");

static PyObject *request_write_piece(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    PyObject *text = count == 2 && args[1] != Py_None ? args[1] : NULL;
    PyObject *value, *result = NULL;
    int gathered;

    if (count < 1 || count > 2 || (text && !PyUnicode_Check(text))) {
        PyErr_SetString(PyExc_TypeError, "_write_piece() takes a value and, optionally, text");
        return NULL;
    }
    if (!(value = PyObject_Str(args[0]))) {
        return NULL;
    }
    /* Only now: what str() runs may take its time, and the request end. */
    if (mp_request_record((mp_request *)op) &&
        (gathered = gather((mp_request *)op, value, text)) >= 0) {
        result = gathered ? Py_NewRef(Py_None) : write_joined(op, value, text);
    }
    Py_DECREF(value);
    return result;
}

PyMethodDef mp_request_psp[] = {
    {"_write_piece", (PyCFunction)(void (*)(void))request_write_piece, METH_FASTCALL,
     write_piece_doc},
    {NULL},
};
