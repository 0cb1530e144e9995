#include "py_table_store.h"

static void table_dealloc(PyObject *op);

/* Whether object is a mp_table, when there is no state to ask: an operator does not
 * know which operand is its own. */
static int is_table(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    while (type && type->tp_dealloc != table_dealloc) {
        type = type->tp_base;
    }
    return type != NULL;
}

/* What the constructor and update() take from a key or value: its str(), but bytes are
 * text already. */
static PyObject *text_of(PyObject *object)
{
    return PyBytes_Check(object) ? Py_NewRef(object) : PyObject_Str(object);
}

static int merge_pair(mp_table *self, PyObject *key, PyObject *value)
{
    PyObject *key_text = text_of(key);
    PyObject *value_text = key_text ? text_of(value) : NULL;
    int status = value_text ? mp_table_assign(self, key_text, value_text) : -1;

    Py_XDECREF(key_text);
    Py_XDECREF(value_text);
    return status;
}

/* Its method keys; NULL with AttributeError for what is no mapping. CPython's attribute
 * cache would fill up with copies of a name that is not interned. */
static PyObject *keys_of(PyObject *source)
{
    PyObject *name = PyUnicode_InternFromString("keys");
    PyObject *method = name ? PyObject_GetAttr(source, name) : NULL;

    Py_XDECREF(name);
    return method;
}

static int merge_mapping(mp_table *self, PyObject *mapping, PyObject *keys_method)
{
    PyObject *keys = PyObject_CallNoArgs(keys_method);
    PyObject *iterator = keys ? PyObject_GetIter(keys) : NULL;
    PyObject *key;

    while (iterator && (key = PyIter_Next(iterator))) {
        PyObject *value = PyObject_GetItem(mapping, key);
        int status = value ? merge_pair(self, key, value) : -1;
        Py_DECREF(key);
        Py_XDECREF(value);
        if (status < 0) {
            break;
        }
    }
    Py_XDECREF(iterator);
    Py_XDECREF(keys);
    return PyErr_Occurred() ? -1 : 0;
}

static int merge_item(mp_table *self, PyObject *item, Py_ssize_t index)
{
    /* A tuple, because str() of the key could change a list. */
    PyObject *pair = PySequence_Tuple(item);
    int status = -1;

    if (pair && PyTuple_GET_SIZE(pair) == 2) {
        status = merge_pair(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    } else if (pair) {
        PyErr_Format(PyExc_ValueError,
                     "item %zd has length %zd: a sequence of (key, value) pairs is needed", index,
                     PyTuple_GET_SIZE(pair));
    }
    Py_XDECREF(pair);
    return status;
}

static int merge_pairs(mp_table *self, PyObject *pairs)
{
    PyObject *iterator = PyObject_GetIter(pairs);
    PyObject *item;

    for (Py_ssize_t i = 0; iterator && (item = PyIter_Next(iterator)); i++) {
        int status = merge_item(self, item, i);
        Py_DECREF(item);
        if (status < 0) {
            break;
        }
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

/* Source: a table, a mapping (anything with keys) or pairs. 0 or -1. */
static int table_merge(mp_table *self, PyObject *source)
{
    if (is_table(source)) {
        return mp_table_overlay(self, (mp_table *)source);
    }
    PyObject *keys_method = keys_of(source);
    if (keys_method) {
        int status = merge_mapping(self, source, keys_method);
        Py_DECREF(keys_method);
        return status;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return -1;
    }
    PyErr_Clear();
    return merge_pairs(self, source);
}

static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *self = type->tp_alloc(type, 0);

    if (self && mp_table_open((mp_table *)self) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

static int table_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    PyObject *source = NULL;

    if (!PyArg_UnpackTuple(args, "table", 0, 1, &source) ||
        (source && table_merge((mp_table *)op, source) < 0)) {
        return -1;
    }
    return kwds ? table_merge((mp_table *)op, kwds) : 0;
}

/* A new standalone table, of mp_table itself whatever the type of like, with the entries
 * of source. */
static PyObject *table_from(PyObject *like, PyObject *source)
{
    PyTypeObject *type = mp_state_of_type(Py_TYPE(like))->table_type;
    PyObject *self = table_new(type, NULL, NULL);

    if (self && table_merge((mp_table *)self, source) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

static int table_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((mp_table *)op)->owner);
    return 0;
}

static int table_clear_references(PyObject *op)
{
    Py_CLEAR(((mp_table *)op)->owner);
    return 0;
}

static void table_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    table_clear_references(op);
    mp_table_close((mp_table *)op);
    type->tp_free(op);
    Py_DECREF(type);
}

static Py_ssize_t table_length(PyObject *op)
{
    return mp_table_size((mp_table *)op);
}

static int table_contains(PyObject *op, PyObject *key)
{
    return mp_table_find((mp_table *)op, key, NULL);
}

static PyObject *table_subscript(PyObject *op, PyObject *key)
{
    PyObject *value = mp_table_lookup((mp_table *)op, key);

    if (!value && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return value;
}

static int table_assign_subscript(PyObject *op, PyObject *key, PyObject *value)
{
    if (value) {
        return mp_table_assign((mp_table *)op, key, value);
    }
    int removed = mp_table_remove((mp_table *)op, key);
    if (removed == 0) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return removed > 0 ? 0 : -1;
}

/* What dict(self) is; NULL with an exception. */
static PyObject *table_as_dict(PyObject *op)
{
    PyObject *dict = PyDict_New();

    if (dict && PyDict_Update(dict, op) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *table_repr(PyObject *op)
{
    PyObject *dict = table_as_dict(op);
    PyObject *text = dict ? PyObject_Repr(dict) : NULL;

    Py_XDECREF(dict);
    return text;
}

static PyObject *table_compare(PyObject *op, PyObject *other, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) || !(is_table(other) || PyDict_Check(other))) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *left = table_as_dict(op);
    PyObject *right = NULL;
    PyObject *result = NULL;
    if (left) {
        right = is_table(other) ? table_as_dict(other) : Py_NewRef(other);
    }
    if (right) {
        result = PyObject_RichCompare(left, right, operation);
    }
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

static PyObject *table_or(PyObject *left, PyObject *right)
{
    if (!(is_table(left) || PyDict_Check(left)) || !(is_table(right) || PyDict_Check(right))) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *result = table_from(is_table(left) ? left : right, left);
    if (result && table_merge((mp_table *)result, right) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *table_inplace_or(PyObject *op, PyObject *other)
{
    return table_merge((mp_table *)op, other) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *table_iter(PyObject *op)
{
    return mp_table_iterate((mp_table *)op, MP_KEYS);
}

static PyObject *table_iterkeys(PyObject *op, PyObject *unused)
{
    return mp_table_iterate((mp_table *)op, MP_KEYS);
}

static PyObject *table_itervalues(PyObject *op, PyObject *unused)
{
    return mp_table_iterate((mp_table *)op, MP_VALUES);
}

static PyObject *table_iteritems(PyObject *op, PyObject *unused)
{
    return mp_table_iterate((mp_table *)op, MP_ITEMS);
}

static PyObject *table_keys(PyObject *op, PyObject *unused)
{
    return mp_table_list((mp_table *)op, MP_KEYS);
}

static PyObject *table_values(PyObject *op, PyObject *unused)
{
    return mp_table_list((mp_table *)op, MP_VALUES);
}

static PyObject *table_items(PyObject *op, PyObject *unused)
{
    return mp_table_list((mp_table *)op, MP_ITEMS);
}

static PyObject *table_reversed(PyObject *op, PyObject *unused)
{
    PyObject *keys = mp_table_list((mp_table *)op, MP_KEYS);
    PyObject *iterator = NULL;

    if (keys && PyList_Reverse(keys) == 0) {
        iterator = PyObject_GetIter(keys);
    }
    Py_XDECREF(keys);
    return iterator;
}

static PyObject *table_add(PyObject *op, PyObject *args)
{
    PyObject *key, *value;

    if (!PyArg_UnpackTuple(args, "add", 2, 2, &key, &value) ||
        mp_table_append((mp_table *)op, key, value) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *table_get(PyObject *op, PyObject *args)
{
    PyObject *key, *fallback = Py_None, *value = NULL;

    if (!PyArg_UnpackTuple(args, "get", 1, 2, &key, &fallback)) {
        return NULL;
    }
    int found = mp_table_find((mp_table *)op, key, &value);
    return found == 0 ? Py_NewRef(fallback) : value;
}

static PyObject *table_has_key(PyObject *op, PyObject *key)
{
    int found = mp_table_find((mp_table *)op, key, NULL);

    return found < 0 ? NULL : PyBool_FromLong(found);
}

static PyObject *table_setdefault(PyObject *op, PyObject *args)
{
    PyObject *key, *fallback = NULL;

    if (!PyArg_UnpackTuple(args, "setdefault", 1, 2, &key, &fallback)) {
        return NULL;
    }
    int found = mp_table_find((mp_table *)op, key, NULL);
    if (found == 0) {
        fallback = fallback ? Py_NewRef(fallback) : PyUnicode_New(0, 0);
        found = fallback ? mp_table_assign((mp_table *)op, key, fallback) : -1;
        Py_XDECREF(fallback);
    }
    return found < 0 ? NULL : table_subscript(op, key);
}

static PyObject *table_pop(PyObject *op, PyObject *args)
{
    PyObject *key, *fallback = NULL;

    if (!PyArg_UnpackTuple(args, "pop", 1, 2, &key, &fallback)) {
        return NULL;
    }
    PyObject *value = mp_table_lookup((mp_table *)op, key);
    if (value && mp_table_remove((mp_table *)op, key) < 0) {
        Py_CLEAR(value);
    }
    if (value || PyErr_Occurred()) {
        return value;
    }
    if (!fallback) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return Py_XNewRef(fallback);
}

static PyObject *table_popitem(PyObject *op, PyObject *unused)
{
    return mp_table_pop_last((mp_table *)op);
}

static PyObject *table_clear(PyObject *op, PyObject *unused)
{
    if (mp_table_empty((mp_table *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *table_copy(PyObject *op, PyObject *unused)
{
    return table_from(op, op);
}

static PyObject *table_update(PyObject *op, PyObject *args, PyObject *kwds)
{
    PyObject *source = NULL;

    if (!PyArg_UnpackTuple(args, "update", 0, 1, &source)) {
        return NULL;
    }
    /* What is neither a mapping nor iterable has no keys: the API's AttributeError. */
    if (source && !Py_TYPE(source)->tp_iter && !PySequence_Check(source)) {
        PyObject *keys = keys_of(source);
        if (!keys) {
            return NULL;
        }
        Py_DECREF(keys);
    }
    if ((source && table_merge((mp_table *)op, source) < 0) ||
        (kwds && table_merge((mp_table *)op, kwds) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *table_fromkeys(PyObject *type, PyObject *args)
{
    PyObject *keys, *value = NULL, *key;

    if (!PyArg_UnpackTuple(args, "fromkeys", 1, 2, &keys, &value)) {
        return NULL;
    }
    value = value ? Py_NewRef(value) : PyUnicode_New(0, 0);
    PyObject *table = value ? PyObject_CallNoArgs(type) : NULL;
    PyObject *iterator = table ? PyObject_GetIter(keys) : NULL;
    while (iterator && (key = PyIter_Next(iterator))) {
        int status = PyObject_SetItem(table, key, value);
        Py_DECREF(key);
        if (status < 0) {
            break;
        }
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(table);
    }
    Py_XDECREF(iterator);
    Py_XDECREF(value);
    return table;
}

PyDoc_STRVAR(table_doc,
             "mp_table(source=(), /, **more)\n--\n\n"
             "A dict-like object over an Apache table (manual 4.5.2).\n\n"
             "Keys and values are strings, ISO-8859-1 on the wire; str or bytes without CR, LF\n"
             "and NUL are taken. Keys keep their spelling, lookups ignore case. A key may have\n"
             "several entries, see add(): len(), iteration, keys(), values() and items() give\n"
             "each, table[key] a list of the values, get() the first, assignment replaces them\n"
             "all. Source is a mapping or a sequence of pairs, to whose parts str() is applied.\n"
             "Raises ReferenceError or the owner's error once what it belonged to is gone.");

static PyMethodDef table_methods[] = {
    {"add", table_add, METH_VARARGS,
     PyDoc_STR("add($self, key, value, /)\n--\n\n"
               "Add a value, keeping those of the key (manual 4.5.2).")},
    {"clear", table_clear, METH_NOARGS,
     PyDoc_STR("clear($self, /)\n--\n\n"
               "Remove all entries (manual 4.5.2).")},
    {"copy", table_copy, METH_NOARGS,
     PyDoc_STR("copy($self, /)\n--\n\n"
               "A table of its own with the same entries (manual 4.5.2).")},
    {"fromkeys", table_fromkeys, METH_VARARGS | METH_CLASS,
     PyDoc_STR("fromkeys($type, keys, value='', /)\n--\n\n"
               "A new table with these keys, all of that value (manual 4.5.2).")},
    {"get", table_get, METH_VARARGS,
     PyDoc_STR("get($self, key, default=None, /)\n--\n\n"
               "The first value of the key (manual 4.5.2).")},
    {"has_key", table_has_key, METH_O,
     PyDoc_STR("has_key($self, key, /)\n--\n\n"
               "Whether the key is in the table (manual 4.5.2).")},
    {"items", table_items, METH_NOARGS,
     PyDoc_STR("items($self, /)\n--\n\n"
               "A list of all (key, value) pairs (manual 4.5.2).")},
    {"iteritems", table_iteritems, METH_NOARGS,
     PyDoc_STR("iteritems($self, /)\n--\n\n"
               "An iterator over all (key, value) pairs (manual 4.5.2).")},
    {"iterkeys", table_iterkeys, METH_NOARGS,
     PyDoc_STR("iterkeys($self, /)\n--\n\n"
               "An iterator over all keys (manual 4.5.2).")},
    {"itervalues", table_itervalues, METH_NOARGS,
     PyDoc_STR("itervalues($self, /)\n--\n\n"
               "An iterator over all values (manual 4.5.2).")},
    {"keys", table_keys, METH_NOARGS,
     PyDoc_STR("keys($self, /)\n--\n\n"
               "A list of all keys, as they are spelled (manual 4.5.2).")},
    {"pop", table_pop, METH_VARARGS,
     PyDoc_STR("pop($self, key, default=..., /)\n--\n\n"
               "Remove a key and return what table[key] was (manual 4.5.2).")},
    {"popitem", table_popitem, METH_NOARGS,
     PyDoc_STR("popitem($self, /)\n--\n\n"
               "Remove the last (key, value) pair and return it (manual 4.5.2).")},
    {"setdefault", table_setdefault, METH_VARARGS,
     PyDoc_STR(
         "setdefault($self, key, default='', /)\n--\n\n"
         "What table[key] is, once it is the default if the key was missing (manual 4.5.2).")},
    {"update", (PyCFunction)(void (*)(void))table_update, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("update($self, source=(), /, **more)\n--\n\n"
               "Take over a mapping or pairs, str() applied, replacing the keys' values (manual "
               "4.5.2).")},
    {"values", table_values, METH_NOARGS,
     PyDoc_STR("values($self, /)\n--\n\n"
               "A list of all values (manual 4.5.2).")},
    {"__copy__", table_copy, METH_NOARGS, NULL},
    {"__deepcopy__", table_copy, METH_O, NULL},
    {"__reversed__", table_reversed, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, (void *)table_doc},
    {Py_tp_new, table_new},
    {Py_tp_init, table_init},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_traverse, table_traverse},
    {Py_tp_clear, table_clear_references},
    {Py_tp_methods, table_methods},
    {Py_tp_repr, table_repr},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_richcompare, table_compare},
    {Py_tp_iter, table_iter},
    {Py_mp_length, table_length},
    {Py_mp_subscript, table_subscript},
    {Py_mp_ass_subscript, table_assign_subscript},
    {Py_sq_contains, table_contains},
    {Py_nb_or, table_or},
    {Py_nb_inplace_or, table_inplace_or},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "_apache.mp_table",
    .basicsize = sizeof(mp_table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING,
    .slots = table_slots,
};

PyObject *mp_table_view(mp_state *state, PyObject *owner, mp_table_locate locate, void *key)
{
    PyTypeObject *type = state->table_type;
    PyObject *view = type->tp_alloc(type, 0);

    if (view) {
        mp_table *self = (mp_table *)view;
        self->owner = Py_NewRef(owner);
        self->locate = locate;
        self->key = key;
    }
    return view;
}

/* Lets isinstance(table, collections.abc.MutableMapping) hold, as for a dict. */
static int register_mapping(PyTypeObject *type)
{
    PyObject *abc = PyImport_ImportModule("collections.abc");
    PyObject *mapping = abc ? PyObject_GetAttrString(abc, "MutableMapping") : NULL;
    PyObject *result = mapping ? PyObject_CallMethod(mapping, "register", "O", type) : NULL;

    Py_XDECREF(abc);
    Py_XDECREF(mapping);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

int mp_table_setup(PyObject *module, mp_state *state)
{
    state->table_type = mp_type_create(module, &table_spec);
    if (!state->table_type || register_mapping(state->table_type) < 0 ||
        mp_table_iterator_setup(module, state) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "table", (PyObject *)state->table_type);
}
