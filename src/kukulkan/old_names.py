"""Names that Python 2 had, or an older Python 3: they fail when the line is run."""

import ast
import builtins
from collections.abc import Collection, Iterator

from kukulkan import expected
from kukulkan.findings import ERROR, WARNING, Finding

# Names that Python 2 had built in.
_BUILTINS = {
    "unicode": "str",
    "basestring": "str",
    "unichr": "chr",
    "xrange": "range",
    "raw_input": "input",
    "long": "int",
    "reduce": "functools.reduce",
    "execfile": "exec(open(name).read())",
    "reload": "apache.import_module(), which reloads what has changed,",
    "apply": "function(*arguments)",
    "cmp": "(a > b) - (a < b)",
    "file": "open",
    "intern": "sys.intern",
    "buffer": "memoryview",
    "coerce": "no replacement",
    "StandardError": "Exception",
}
_METHODS = {
    "has_key": "`key in d`",
    "iteritems": "d.items()",
    "iterkeys": "d.keys()",
    "itervalues": "d.values()",
}

# Attributes of modules that are gone: what takes their place.
_STRING = ("atoi", "atof", "count", "find", "index", "join", "joinfields", "lower", "lstrip", "replace", "rfind",
           "rindex", "rstrip", "split", "splitfields", "strip", "upper", "zfill")  # fmt: skip
_TYPES = {
    "BooleanType": "bool", "ClassType": "type", "DictType": "dict", "DictionaryType": "dict", "FileType":
    "io.IOBase", "FloatType": "float", "InstanceType": "object", "IntType": "int", "ListType": "list", "LongType":
    "int", "ObjectType": "object", "StringType": "str", "StringTypes": "str", "TupleType": "tuple", "TypeType":
    "type", "UnicodeType": "str",
}  # fmt: skip
ATTRIBUTES = {
    "string": {
        **{name: f"the method: s.{name}()" for name in _STRING},
        "join": "the method: separator.join(words)",
        "joinfields": "the method: separator.join(words)",
        "atoi": "int()",
        "atof": "float()",
        "letters": "string.ascii_letters",
        "lowercase": "string.ascii_lowercase",
        "uppercase": "string.ascii_uppercase",
        "maketrans": "str.maketrans()",
    },
    "types": _TYPES,
    "sys": {
        "exc_clear": "nothing",
        "exc_type": "sys.exc_info()[0]",
        "exc_value": "sys.exc_info()[1]",
        "maxint": "sys.maxsize",
        "setcheckinterval": "sys.setswitchinterval()",
        "setdefaultencoding": "nothing: text is str, and encode() says its encoding",
    },
    "os": {
        "errno": "the module errno",
        "getcwdu": "os.getcwd()",
        "popen2": "subprocess.Popen",
        "popen3": "subprocess.Popen",
        "popen4": "subprocess.Popen",
        "tmpnam": "tempfile.mkstemp()",
    },
    "itertools": {"ifilter": "filter()", "imap": "map()", "izip": "zip()", "izip_longest": "zip_longest()"},
    "time": {"clock": "time.perf_counter()"},
    "base64": {"decodestring": "base64.decodebytes()", "encodestring": "base64.encodebytes()"},
    "cgi": {
        "escape": "html.escape()",
        "parse_qs": "urllib.parse.parse_qs()",
        "parse_qsl": "urllib.parse.parse_qsl()",
    },
    "collections": {
        name: f"collections.abc.{name}"
        for name in ("Callable", "Iterable", "Iterator", "Mapping", "MutableMapping", "Sequence", "Set")
    },
    "inspect": {"getargspec": "inspect.getfullargspec()"},
    "operator": {"isCallable": "callable()", "sequenceIncludes": "operator.contains()"},
    "urllib": {
        **{
            name: f"urllib.parse.{name}"
            for name in ("quote", "quote_plus", "unquote", "unquote_plus", "urlencode")
        },
        **{
            name: f"urllib.request.{name}"
            for name in ("urlopen", "urlretrieve", "pathname2url", "url2pathname", "URLopener")
        },
    },
}


def examine(tree: ast.Module, file: str, bound: Collection[str] = ()) -> Iterator[Finding]:
    """What a source uses of names, methods and attributes that are gone.

    Args:
        tree: Of the source.
        file: Its name.
        bound: Names that may have a value beside those that the tree gives one.
    """
    yield from _attributes(tree, file)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift) and _is_print(node.left):
            yield Finding(file, node.lineno, ERROR, "Python 2: print >>file", "Write print(..., file=file).")
        elif isinstance(node, ast.Raise) and _is_text(node.exc):
            what = "Python 2: an exception that is a string"
            yield Finding(file, node.lineno, ERROR, what, "Raise an instance of a class: Exception(text).")
    yield from _names(tree, file, set(bound) | _bound(tree))


def _names(tree: ast.Module, file: str, bound: set[str]) -> Iterator[Finding]:
    if "*" in bound:
        return
    for node in expected.walk(tree):
        if isinstance(node, ast.Name) and node.id in _BUILTINS and node.id not in bound:
            if not hasattr(builtins, node.id):
                cure = f"Use {_BUILTINS[node.id]} instead."
                what = f"Python 2: the name {node.id} is not there any more"
                yield Finding(file, node.lineno, WARNING, what, cure)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method, of = node.func.attr, node.func.value
            if method in _METHODS and method not in bound and not _is_self(of):
                cure = f"Write {_METHODS[method]}, unless this is a method of your own."
                what = f"Python 2: dictionaries have no {method}() any more"
                yield Finding(file, node.lineno, WARNING, what, cure)


def _attributes(tree: ast.Module, file: str) -> Iterator[Finding]:
    """Attributes of modules: of those that the source imports by their name."""
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname is None
    } - _given(tree)
    for node in expected.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = node.value.id
            if module in imported and node.attr in ATTRIBUTES.get(module, ()):
                yield _moved(module, node.attr, file, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module in ATTRIBUTES and not node.level:
            for alias in node.names:
                if alias.name in ATTRIBUTES[node.module]:
                    yield _moved(node.module, alias.name, file, node.lineno)


def _moved(module: str, name: str, file: str, line: int) -> Finding:
    cure = f"Use {ATTRIBUTES[module][name]}."
    return Finding(file, line, ERROR, f"there is no {module}.{name} any more", cure)


def _bound(tree: ast.Module) -> set[str]:
    """All names that get a value; "*" if some come from another module."""
    bound = _given(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return bound


def _given(tree: ast.Module) -> set[str]:
    """The names of variables and parameters."""
    given = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given.add(node.id)
        elif isinstance(node, ast.arg):
            given.add(node.arg)
    return given


def _is_print(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "print"


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
