/* What HTTP says of a request: validators, URL, authentication, TLS. */
#include "py_request.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_optional.h>

#include "py_convert.h"

/* mod_ssl's, or those of a module that stands in for it. */
APR_DECLARE_OPTIONAL_FN(int, ssl_is_https, (conn_rec *));
APR_DECLARE_OPTIONAL_FN(char *, ssl_var_lookup,
                        (apr_pool_t *, server_rec *, conn_rec *, request_rec *, char *));

/* Validators (RFC 9110, 8.8 and 13) */

PyDoc_STRVAR(update_mtime_doc, "update_mtime($self, secs, /)\n--\n\n\
Raise mtime to secs (int or float, seconds since the epoch) if that is later.\n\
Raises OverflowError for times beyond some 290,000 years, ValueError for NaN.");

static PyObject *request_update_mtime(PyObject *op, PyObject *secs)
{
    double seconds = PyFloat_AsDouble(secs);
    request_rec *r;

    if (seconds == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (seconds != seconds) {
        PyErr_SetString(PyExc_ValueError, "secs is not a number");
        return NULL;
    }
    if (seconds > 9e12 || seconds < -9e12) {
        PyErr_SetString(PyExc_OverflowError, "secs is out of range");
        return NULL;
    }
    if (!(r = mp_request_record((mp_request *)op))) {
        return NULL;
    }
    ap_update_mtime(r, (apr_time_t)(seconds * APR_USEC_PER_SEC));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_last_modified_doc, "set_last_modified($self, /)\n--\n\n\
Set the response's Last-Modified header from mtime; see update_mtime().");

static PyObject *request_set_last_modified(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    if (!r) {
        return NULL;
    }
    ap_set_last_modified(r);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_etag_doc, "set_etag($self, /)\n--\n\n\
Set the response's ETag header, made of what FileETag says: inode, size, mtime ...");

static PyObject *request_set_etag(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;

    if (!r) {
        return NULL;
    }
    /* FileETag Digest reads the file. */
    mp_blocking_begin(&blocking, self->context->conn);
    ap_set_etag(r);
    mp_blocking_end(&blocking);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(meets_conditions_doc, "meets_conditions($self, /)\n--\n\n\
int: OK if the If-* headers of the request want the response, else the status to return\n\
instead: HTTP_NOT_MODIFIED or HTTP_PRECONDITION_FAILED. They are compared with the\n\
response's ETag and Last-Modified, to be set before.");

static PyObject *request_meets_conditions(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? PyLong_FromLong(ap_meets_conditions(r)) : NULL;
}

PyDoc_STRVAR(send_http_header_doc, "send_http_header($self, /)\n--\n\n\
Does nothing: Apache sends the headers before the body's first byte.");

static PyObject *request_send_http_header(PyObject *op, PyObject *unused)
{
    return mp_request_record((mp_request *)op) ? Py_NewRef(Py_None) : NULL;
}

/* URL */

PyDoc_STRVAR(construct_url_doc, "construct_url($self, path, /)\n--\n\n\
str: the absolute URL of a path on this server; its name and port follow\n\
UseCanonicalName, a default port is left out.");

static PyObject *request_construct_url(PyObject *op, PyObject *object)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;
    char *path;

    if (!r || !(path = mp_fs_from_object(r->pool, object, "path"))) {
        return NULL;
    }
    /* UseCanonicalName DNS asks the DNS. */
    mp_blocking_begin(&blocking, self->context->conn);
    const char *url = ap_construct_url(r->pool, path, r);
    mp_blocking_end(&blocking);
    return mp_str_from_fs(url);
}

/* Authentication */

PyDoc_STRVAR(auth_name_doc, "auth_name($self, /)\n--\n\n\
str or None: the value of AuthName, the realm.");

static PyObject *request_auth_name(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_str_from_fs(ap_auth_name(r)) : NULL;
}

PyDoc_STRVAR(auth_type_doc, "auth_type($self, /)\n--\n\n\
str or None: the value of AuthType.");

static PyObject *request_auth_type(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_str_from_fs(ap_auth_type(r)) : NULL;
}

/* TLS */

PyDoc_STRVAR(is_https_doc, "is_https($self, /)\n--\n\n\
int: 1 if the connection is by TLS (mod_ssl), else 0.");

static PyObject *request_is_https(PyObject *op, PyObject *unused)
{
    APR_OPTIONAL_FN_TYPE(ssl_is_https) *is_https = APR_RETRIEVE_OPTIONAL_FN(ssl_is_https);
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? PyLong_FromLong(is_https && is_https(r->connection)) : NULL;
}

PyDoc_STRVAR(ssl_var_lookup_doc, "ssl_var_lookup($self, name, /)\n--\n\n\
str or None: a variable of mod_ssl, as \"SSL_PROTOCOL\"; None without mod_ssl.");

static PyObject *request_ssl_var_lookup(PyObject *op, PyObject *object)
{
    APR_OPTIONAL_FN_TYPE(ssl_var_lookup) *lookup = APR_RETRIEVE_OPTIONAL_FN(ssl_var_lookup);
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;
    char *name;

    if (!r || !(name = mp_latin1_from_object(r->pool, object, "name"))) {
        return NULL;
    }
    if (!lookup) {
        Py_RETURN_NONE;
    }
    /* REMOTE_HOST asks the DNS. */
    mp_blocking_begin(&blocking, self->context->conn);
    const char *value = lookup(r->pool, r->server, r->connection, r, name);
    mp_blocking_end(&blocking);
    return mp_str_from_latin1(value);
}

PyMethodDef mp_request_http[] = {
    {"auth_name", request_auth_name, METH_NOARGS, auth_name_doc},
    {"auth_type", request_auth_type, METH_NOARGS, auth_type_doc},
    {"construct_url", request_construct_url, METH_O, construct_url_doc},
    {"is_https", request_is_https, METH_NOARGS, is_https_doc},
    {"meets_conditions", request_meets_conditions, METH_NOARGS, meets_conditions_doc},
    {"send_http_header", request_send_http_header, METH_NOARGS, send_http_header_doc},
    {"set_etag", request_set_etag, METH_NOARGS, set_etag_doc},
    {"set_last_modified", request_set_last_modified, METH_NOARGS, set_last_modified_doc},
    {"ssl_var_lookup", request_ssl_var_lookup, METH_O, ssl_var_lookup_doc},
    {"update_mtime", request_update_mtime, METH_O, update_mtime_doc},
    {NULL},
};
