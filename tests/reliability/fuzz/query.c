/* libFuzzer: parse_qs() and parse_qsl() of core/py_query.c against urllib.parse's, with
 * AddressSanitizer and UBSan. The first byte of the input chooses the arguments. */
#include "../../../core/py_query.c"

static PyObject *ours, *theirs; /* one dict each, by name */

static PyObject *functions_of(const char *module_name)
{
    PyObject *functions = PyDict_New();
    PyObject *module = module_name ? PyImport_ImportModule(module_name) : NULL;

    for (PyMethodDef *method = mp_query_functions; method->ml_name; method++) {
        PyObject *function = module ? PyObject_GetAttrString(module, method->ml_name)
                                    : PyCFunction_New(method, NULL);
        PyDict_SetItemString(functions, method->ml_name, function);
        Py_DECREF(function);
    }
    Py_XDECREF(module);
    return functions;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    Py_Initialize();
    ours = functions_of(NULL);
    theirs = functions_of("urllib.parse");
    return 0;
}

/* The result, or the type of the exception with its text. */
static PyObject *call(PyObject *functions, const char *name, PyObject *args, PyObject *keywords)
{
    PyObject *result = PyObject_Call(PyDict_GetItemString(functions, name), args, keywords);

    if (!result) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyErr_NormalizeException(&type, &value, &trace);
        result = PyUnicode_FromFormat("%R: %S", type, value);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (!size) {
        return 0;
    }
    unsigned char choice = *data;
    const char *errors[] = {"replace", "strict", "surrogateescape", "ignore"};
    PyObject *text = choice & 64 ? PyBytes_FromStringAndSize((char *)data + 1, (Py_ssize_t)size - 1)
                                 : PyUnicode_DecodeLatin1((char *)data + 1, (Py_ssize_t)size - 1, NULL);
    PyObject *args = PyTuple_Pack(1, text);
    PyObject *keywords = Py_BuildValue(
        "{sisisssN}", "keep_blank_values", choice & 1, "strict_parsing", choice >> 1 & 1, "errors",
        errors[choice >> 2 & 3], "max_num_fields", choice & 16 ? PyLong_FromLong(3) : Py_NewRef(Py_None));

    for (PyMethodDef *method = mp_query_functions; method->ml_name; method++) {
        PyObject *one = call(ours, method->ml_name, args, keywords);
        PyObject *other = call(theirs, method->ml_name, args, keywords);
        if (PyObject_RichCompareBool(one, other, Py_EQ) != 1) {
            PySys_FormatStderr("%s%R %R\nours:   %R\nurllib: %R\n", method->ml_name, args, keywords,
                               one, other);
            abort();
        }
        Py_DECREF(one);
        Py_DECREF(other);
    }
    Py_DECREF(keywords);
    Py_DECREF(args);
    Py_DECREF(text);
    return 0;
}
