#include "py_query.h"

#include <string.h>

/* The arguments of a call that is parsed here: ASCII text, '&', UTF-8. */
typedef struct {
    PyObject *text; /* str, ASCII */
    int keep_blank_values;
    int strict_parsing;
    const char *errors; /* as for bytes.decode() */
    char *scratch;      /* room for the decoded text */
} query;

/* Adds one pair to the result. 0, or -1 with an exception. */
typedef int (*add_pair)(PyObject *result, PyObject *name, PyObject *value);

static int is_ascii(PyObject *object)
{
    /* The length first: up to 3.11 it is what makes an old-fashioned str ready. */
    return PyUnicode_CheckExact(object) && PyUnicode_GetLength(object) >= 0 &&
           PyUnicode_IS_ASCII(object);
}

static int is_absent_or(PyObject *object, const char *usual)
{
    return !object ||
           (PyUnicode_CheckExact(object) && PyUnicode_CompareWithASCIIString(object, usual) == 0);
}

/* As bytes.decode() takes it; NULL if it is something to be left to urllib. */
static const char *errors_from_object(PyObject *errors)
{
    if (!errors || errors == Py_None) {
        return "replace";
    }
    if (!is_ascii(errors)) {
        return NULL;
    }
    const char *name = (const char *)PyUnicode_1BYTE_DATA(errors);
    return strlen(name) == (size_t)PyUnicode_GET_LENGTH(errors) ? name : NULL;
}

/* ValueError if there are more fields than may be. 0, or -1 with an exception. */
static int check_count(PyObject *text, PyObject *most)
{
    const char *start = (const char *)PyUnicode_1BYTE_DATA(text);
    const char *end = start + PyUnicode_GET_LENGTH(text);
    Py_ssize_t count = 1;

    if (most == Py_None) {
        return 0;
    }
    while ((start = memchr(start, '&', (size_t)(end - start)))) {
        start++;
        count++;
    }
    PyObject *number = PyLong_FromSsize_t(count);
    int too_many = number ? PyObject_RichCompareBool(most, number, Py_LT) : -1;
    Py_XDECREF(number);
    if (too_many > 0) {
        PyErr_SetString(PyExc_ValueError, "Max number of fields exceeded");
    }
    return too_many ? -1 : 0;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 'a' ^ 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The text between, with '+' and percent-encoding decoded: a new str. */
static PyObject *unquote(const query *q, const char *start, const char *end)
{
    char *out = q->scratch;

    for (const char *in = start; in < end; in++) {
        char c = *in;
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && end - in > 2) {
            int high = hex_value(in[1]), low = hex_value(in[2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                in += 2;
            }
        }
        *out++ = c;
    }
    return PyUnicode_DecodeUTF8(q->scratch, out - q->scratch, q->errors);
}

static int parse_field(const query *q, const char *start, const char *end, add_pair add,
                       PyObject *result)
{
    const char *equals = memchr(start, '=', (size_t)(end - start));
    const char *value_start = equals ? equals + 1 : end;
    int status = -1;

    if (!equals && q->strict_parsing) {
        PyObject *field = PyUnicode_DecodeASCII(start, end - start, NULL);
        if (field) {
            PyErr_Format(PyExc_ValueError, "bad query field: %R", field);
            Py_DECREF(field);
        }
        return -1;
    }
    if (value_start == end && !q->keep_blank_values) {
        return 0;
    }
    PyObject *name = unquote(q, start, equals ? equals : end);
    PyObject *value = name ? unquote(q, value_start, end) : NULL;
    if (value) {
        status = add(result, name, value);
    }
    Py_XDECREF(name);
    Py_XDECREF(value);
    return status;
}

static int parse_fields(query *q, add_pair add, PyObject *result)
{
    const char *start = (const char *)PyUnicode_1BYTE_DATA(q->text);
    const char *end = start + PyUnicode_GET_LENGTH(q->text);
    const char *field = start, *stop;
    int status = 0;

    if (start == end) {
        return 0; /* no field, whereas "&" has two that are empty */
    }
    q->scratch = PyMem_Malloc((size_t)(end - start));
    if (!q->scratch) {
        PyErr_NoMemory();
        return -1;
    }
    do {
        stop = memchr(field, '&', (size_t)(end - field));
        stop = stop ? stop : end;
        if (field != stop || q->strict_parsing) {
            status = parse_field(q, field, stop, add, result);
        }
        field = stop + 1;
    } while (status == 0 && stop != end);
    PyMem_Free(q->scratch);
    return status;
}

/* What the function of this name of urllib.parse returns. */
static PyObject *call_urllib(const char *name, PyObject *args, PyObject *keywords)
{
    PyObject *module = PyImport_ImportModule("urllib.parse");
    /* The one of that name: CPython's cache of attributes keeps each that it is asked for. */
    PyObject *interned = module ? PyUnicode_InternFromString(name) : NULL;
    PyObject *function = interned ? PyObject_GetAttr(module, interned) : NULL;
    PyObject *result = function ? PyObject_Call(function, args, keywords) : NULL;

    Py_XDECREF(function);
    Py_XDECREF(interned);
    Py_XDECREF(module);
    return result;
}

/* result is stolen; it is what is returned when the arguments are as usual. */
static PyObject *parse(PyObject *args, PyObject *keywords, const char *format, add_pair add,
                       PyObject *result)
{
    static char *names[] = {"qs",     "keep_blank_values", "strict_parsing", "encoding",
                            "errors", "max_num_fields",    "separator",      NULL};
    PyObject *keep = Py_False, *strict = Py_False, *most = Py_None;
    PyObject *encoding = NULL, *errors = NULL, *separator = NULL;
    query q = {NULL};

    if (!result || !PyArg_ParseTupleAndKeywords(args, keywords, format, names, &q.text, &keep,
                                                &strict, &encoding, &errors, &most, &separator)) {
        goto error;
    }
    q.errors = errors_from_object(errors);
    /* Without any text, Python's versions differ in whether they look at max_num_fields. */
    if (!is_ascii(q.text) || (PyUnicode_GET_LENGTH(q.text) == 0 && most != Py_None) || !q.errors ||
        !is_absent_or(separator, "&") ||
        (encoding != Py_None && !is_absent_or(encoding, "utf-8"))) {
        Py_DECREF(result);
        return call_urllib(strchr(format, ':') + 1, args, keywords);
    }
    q.keep_blank_values = PyObject_IsTrue(keep);
    q.strict_parsing = PyObject_IsTrue(strict);
    if (q.keep_blank_values < 0 || q.strict_parsing < 0 || check_count(q.text, most) != 0 ||
        parse_fields(&q, add, result) != 0) {
        goto error;
    }
    return result;
error:
    Py_XDECREF(result);
    return NULL;
}

static int add_to_list(PyObject *list, PyObject *name, PyObject *value)
{
    PyObject *pair = PyTuple_Pack(2, name, value);
    int status = pair ? PyList_Append(list, pair) : -1;

    Py_XDECREF(pair);
    return status;
}

static int add_to_dict(PyObject *dict, PyObject *name, PyObject *value)
{
    PyObject *values = PyDict_GetItemWithError(dict, name);

    if (values || PyErr_Occurred()) {
        return values ? PyList_Append(values, value) : -1;
    }
    values = PyList_New(1);
    if (!values) {
        return -1;
    }
    PyList_SET_ITEM(values, 0, Py_NewRef(value));
    int status = PyDict_SetItem(dict, name, values);
    Py_DECREF(values);
    return status;
}

#define SIGNATURE                                                                                  \
    "(qs, keep_blank_values=False, strict_parsing=False, encoding='utf-8', errors='replace',"      \
    " max_num_fields=None, separator='&')\n--\n\n"
#define ARGUMENTS                                                                                  \
    "\n\
qs: as in a URL or in a body of type application/x-www-form-urlencoded.\n\
keep_blank_values: whether fields without a value count, with \"\".\n\
strict_parsing: whether a field without \"=\" is a ValueError; else it has no value.\n\
encoding, errors: as for bytes.decode(), of what is percent-encoded.\n\
max_num_fields: more fields are a ValueError; None: as many as there are.\n\
separator: what is between the fields.\n\n\
The result is that of the function of urllib.parse, for the same arguments."

PyDoc_STRVAR(parse_qs_doc, "parse_qs" SIGNATURE "\
Parse a query string: a dict of names and lists of values (manual, 4.6).\n" ARGUMENTS);

static PyObject *parse_qs(PyObject *module, PyObject *args, PyObject *keywords)
{
    return parse(args, keywords, "O|OOOOOO:parse_qs", add_to_dict, PyDict_New());
}

PyDoc_STRVAR(parse_qsl_doc, "parse_qsl" SIGNATURE "\
Parse a query string: a list of (name, value), in order (manual, 4.6).\n" ARGUMENTS);

static PyObject *parse_qsl(PyObject *module, PyObject *args, PyObject *keywords)
{
    return parse(args, keywords, "O|OOOOOO:parse_qsl", add_to_list, PyList_New(0));
}

PyMethodDef mp_query_functions[] = {
    {"parse_qs", (PyCFunction)(void (*)(void))parse_qs, METH_VARARGS | METH_KEYWORDS, parse_qs_doc},
    {"parse_qsl", (PyCFunction)(void (*)(void))parse_qsl, METH_VARARGS | METH_KEYWORDS,
     parse_qsl_doc},
    {NULL},
};
