#include "py_table_store.h"

/* Keeps its place as a number: between two steps the entries may move, or the record
 * that the table belongs to may go. */
typedef struct {
    PyObject_HEAD mp_table *table; /* NULL: exhausted */
    mp_table_part part;
    int index;
    int size; /* of the table when the iteration began; -1: it has changed since */
} table_iterator;

static int iterator_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((table_iterator *)op)->table);
    return 0;
}

static int iterator_clear(PyObject *op)
{
    Py_CLEAR(((table_iterator *)op)->table);
    return 0;
}

static void iterator_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    iterator_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *iterator_next(PyObject *op)
{
    table_iterator *self = (table_iterator *)op;
    int size = self->table ? mp_table_size(self->table) : -1;

    if (size < 0) {
        return NULL;
    }
    if (size != self->size) {
        self->size = -1;
        PyErr_SetString(PyExc_RuntimeError, "table changed size during iteration");
        return NULL;
    }
    PyObject *item = mp_table_entry(self->table, self->index, self->part);
    if (item) {
        self->index++;
    } else if (!PyErr_Occurred()) {
        iterator_clear(op);
    }
    return item;
}

static PyType_Slot iterator_slots[] = {
    {Py_tp_dealloc, iterator_dealloc}, {Py_tp_traverse, iterator_traverse},
    {Py_tp_clear, iterator_clear},     {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},   {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "_apache.mp_table_iterator",
    .basicsize = sizeof(table_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iterator_slots,
};

PyObject *mp_table_iterate(mp_table *table, mp_table_part part)
{
    PyTypeObject *type = mp_state_of_type(Py_TYPE(table))->table_iterator_type;
    int size = mp_table_size(table);
    PyObject *iterator = size < 0 ? NULL : type->tp_alloc(type, 0);

    if (iterator) {
        table_iterator *self = (table_iterator *)iterator;
        self->table = (mp_table *)Py_NewRef(table);
        self->part = part;
        self->size = size;
    }
    return iterator;
}

int mp_table_iterator_setup(PyObject *module, mp_state *state)
{
    state->table_iterator_type = mp_type_create(module, &iterator_spec);
    return state->table_iterator_type ? 0 : -1;
}
