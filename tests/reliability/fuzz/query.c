/* libFuzzer: parse_qs() and parse_qsl() of core/py_query.c against urllib.parse's, with
 * AddressSanitizer, UBSan and LeakSanitizer. The first byte of the input chooses the
 * arguments, and whether there is no memory for one object, which the last byte chooses. */
#include "../../../core/py_query.c"

static PyObject *ours, *theirs; /* one dict each, by name */

static PyMemAllocatorEx allocators[2];
static size_t until_failure; /* allocations; 0: none fails */

static int fails(void)
{
    return until_failure && !--until_failure;
}

static void *limited_malloc(void *allocator, size_t size)
{
    PyMemAllocatorEx *a = allocator;
    return fails() ? NULL : a->malloc(a->ctx, size);
}

static void *limited_calloc(void *allocator, size_t count, size_t size)
{
    PyMemAllocatorEx *a = allocator;
    return fails() ? NULL : a->calloc(a->ctx, count, size);
}

static void *limited_realloc(void *allocator, void *block, size_t size)
{
    PyMemAllocatorEx *a = allocator;
    return fails() ? NULL : a->realloc(a->ctx, block, size);
}

static void limited_free(void *allocator, void *block)
{
    PyMemAllocatorEx *a = allocator;
    a->free(a->ctx, block);
}

static void limit_allocators(void)
{
    PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};

    for (int i = 0; i < 2; i++) {
        PyMemAllocatorEx limited = {&allocators[i], limited_malloc, limited_calloc, limited_realloc,
                                    limited_free};
        PyMem_GetAllocator(domains[i], &allocators[i]);
        PyMem_SetAllocator(domains[i], &limited);
    }
}

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
    limit_allocators();
    return 0;
}

/* The result, or the type of the exception with its text, where the allocation of that
 * number fails. */
static PyObject *call(PyObject *functions, const char *name, PyObject *args, PyObject *keywords,
                      size_t failing, int *has_raised)
{
    PyObject *function = PyDict_GetItemString(functions, name);

    until_failure = failing;
    PyObject *result = PyObject_Call(function, args, keywords);
    until_failure = 0;
    *has_raised = !result;
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
    PyObject *text = choice & 64
                         ? PyBytes_FromStringAndSize((char *)data + 1, (Py_ssize_t)size - 1)
                         : PyUnicode_DecodeLatin1((char *)data + 1, (Py_ssize_t)size - 1, NULL);
    /* Other text is CPython's own matter, which leaks an object here and there then. */
    int is_ours = PyUnicode_Check(text) && PyUnicode_IS_ASCII(text);
    size_t failing = choice & 128 && is_ours ? 1 + data[size - 1] % 32 : 0;
    PyObject *args = PyTuple_Pack(1, text);
    PyObject *keywords =
        Py_BuildValue("{sisisssN}", "keep_blank_values", choice & 1, "strict_parsing",
                      choice >> 1 & 1, "errors", errors[choice >> 2 & 3], "max_num_fields",
                      choice & 16 ? PyLong_FromLong(3) : Py_NewRef(Py_None));

    for (PyMethodDef *method = mp_query_functions; method->ml_name; method++) {
        int has_raised, ignored;
        PyObject *one = call(ours, method->ml_name, args, keywords, failing, &has_raised);
        PyObject *other = call(theirs, method->ml_name, args, keywords, 0, &ignored);
        /* Without memory CPython may lose an exception, or its text. */
        if (!(failing && has_raised) && PyObject_RichCompareBool(one, other, Py_EQ) != 1) {
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
