"""The types that _apache-stubs promises are those of the module built into mod_python.so."""

import ast
from pathlib import Path

import pytest

STUBS = Path(__file__).parents[2] / "src" / "_apache-stubs"

# Said in another way than by a name in the type: every object has them, the type cannot be
# instantiated, attributes may be added, or copying has left a mark.
ELSEWHERE = {
    "__doc__",
    "__module__",
    "__new__",
    "__dict__",
    "__dictoffset__",
    "__getattr__",
    "__setattr__",
    "__slotnames__",
}

# For each name of the module: what it is, its parameters and, of a type, the same for its members.
COLLECT = """
    import _apache

    def describe(thing):
        return [type(thing).__name__, getattr(thing, "__text_signature__", None)]

    def members(of):
        return {name: describe(value) for name, value in vars(of).items()}

    types = {name: value for name, value in vars(_apache).items() if isinstance(value, type)}
    types["mp_finfo"] = type(req.finfo)
    return {
        "module": members(_apache),
        "types": {name: members(value) for name, value in types.items()},
        "names": {name: value.__name__ for name, value in types.items()},
        "object": list(vars(object)),
        "final": [name for name, value in types.items() if not value.__flags__ & 1 << 10],
    }
    """


@pytest.fixture
def built(httpd):
    """The module inside Apache."""
    return httpd.run(COLLECT)


def decorators(node):
    """The names of a definition's decorators."""
    return {ast.unparse(decorator) for decorator in node.decorator_list}


def bindings(body):
    """The names that a body of the stub binds, with a definition of each; the last one
    of several, which of overloads has all the parameters."""
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) != "TypeAlias":
            found[node.target.id] = node
        elif isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("TypeVar("):
            found[node.targets[0].id] = node
    return found


STUBBED = {
    name: node
    for file in ("_constants.pyi", "__init__.pyi")
    for name, node in bindings(ast.parse((STUBS / file).read_text()).body).items()
}
CLASSES = {name: node for name, node in STUBBED.items() if isinstance(node, ast.ClassDef)}
ONLY_TYPES = {name for name, node in CLASSES.items() if "type_check_only" in decorators(node)}


def parameters(arguments):
    """The parameters but self or cls: name, whether it may be left out, kind."""
    positional = [*arguments.posonlyargs, *arguments.args]
    optional = len(positional) - len(arguments.defaults)
    named = [(arg.arg, n >= optional, n < len(arguments.posonlyargs)) for n, arg in enumerate(positional)]
    rest = [arg.arg for arg in (arguments.vararg, arguments.kwarg) if arg]
    return [item for item in named if item[0] not in ("self", "cls", "module", "type")], rest


def parameters_of_signature(text):
    """The same of a __text_signature__, as "($self, name, level=APLOG_ERR, /)"."""
    return parameters(ast.parse(f"def f{text.replace('$', '')}: ...").body[0].args)


def test_names_of_the_module(built):
    """The module has what the stub has, and no more."""
    ours = {name for name in built["module"] if not name.startswith("__")}
    assert set(STUBBED) - ONLY_TYPES == ours


def test_kinds_of_names(built):
    """Constants are of their type, functions functions, types types under their own name."""
    for name, node in STUBBED.items():
        if isinstance(node, ast.AnnAssign):
            promised = ast.unparse(node.annotation).removeprefix("Final[").partition("[")[0].rstrip("]")
            assert built["module"][name][0] == promised, name
        elif isinstance(node, ast.FunctionDef):
            assert built["module"][name][0] == "builtin_function_or_method", name
        elif isinstance(node, ast.Assign):
            assert built["names"][name] == ast.unparse(node.value), name
        else:
            assert built["names"][name] == name


@pytest.mark.parametrize("name", CLASSES)
def test_members_of_types(built, name):
    """A type has the members that the stub has, and no more."""
    real = set(built["types"][name])
    promised = set(bindings(CLASSES[name].body))
    if name in ONLY_TYPES:  # what a named tuple has besides
        real = {member for member in real if not member.startswith(("__", "n_"))}
    assert promised - ELSEWHERE - real == set()
    assert real - ELSEWHERE - promised - set(built["object"]) == set()


@pytest.mark.parametrize("name", CLASSES)
def test_kinds_of_members(built, name):
    """Methods are methods, and members are members."""
    for member, node in bindings(CLASSES[name].body).items():
        if member in ELSEWHERE or member.startswith("__"):
            continue
        is_member = not isinstance(node, ast.FunctionDef) or any(
            decorator == "property" or decorator.endswith(".setter") for decorator in decorators(node)
        )
        kind = built["types"][name][member][0]
        assert is_member == (kind in ("getset_descriptor", "member_descriptor")), member


def test_parameters(built):
    """They have the names, the kinds and the defaults of the built-in signatures."""
    compared = 0
    scopes = [(STUBBED, built["module"])]
    scopes += [(bindings(node.body), built["types"][name]) for name, node in CLASSES.items()]
    for promised, real in scopes:
        for name, node in promised.items():
            signature = real.get(name, [None, None])[1]
            if isinstance(node, ast.FunctionDef) and signature and not name.startswith("__"):
                if "overload" not in decorators(node):
                    assert parameters(node.args) == parameters_of_signature(signature), name
                else:
                    names = [parameter[0] for parameter in parameters(node.args)[0]]
                    assert names == [item[0] for item in parameters_of_signature(signature)[0]], name
                compared += 1
    assert compared > 40


def test_final_types(built):
    """The types that cannot be derived from are marked so."""
    promised = {name for name, node in CLASSES.items() if "final" in decorators(node)}
    assert promised == set(built["final"])
