"""Transform runs again for the hyperparameters that `preprocess` reads, and for no other."""

from __future__ import annotations

import pytest

from pipeline.recipes import catalog, fingerprint, hyperparameters
from pipeline.settings import ROOT

LAMBDA = ("preprocess=preprocess,", "preprocess=lambda inputs, p: {'x': inputs['x'] * p.rate},")
CLASS = """class Scaling:
    def __call__(self, inputs, p):
        return {"x": inputs["x"] * p.rate}


def build(p, spec):"""
CALLABLE = ("def build(p, spec):", CLASS)
METHOD = (
    "filters: tuple[int, ...] = (8, 16)",
    "filters: tuple = (8,)\n\n    def times(self, x, other=None):\n        return x * self.size",
)


def read(source):
    values = hyperparameters.resolve(source, [])
    names = set(fingerprint.step_params(source, "transform", values))
    return None if names == set(values) else names


def body(text, *helpers):
    """The recipe's `preprocess` with another body, after helpers of its own."""
    functions = "\n\n\n".join([*helpers, "def preprocess(inputs, p):"])
    return (
        ('return {"x": scaled(inputs["x"]) * p.size}', text),
        ("def preprocess(inputs, p):", functions),
    )


PROPERTY = (
    "filters: tuple[int, ...] = (8, 16)",
    "filters: tuple = (8,)\n    @property\n    def area(self):\n        return self.size**2",
)

FOLLOWED = {
    "one": ((), {"size"}),
    "two": (body("return p.size * p.rate"), {"rate", "size"}),
    "none": (body("return inputs"), set()),
    "a lambda": ((LAMBDA,), {"rate"}),
    "a property": ((PROPERTY, *body("return p.area")), {"size"}),
    "a method": ((METHOD, *body("return p.times(2)")), {"size"}),
    "getattr": (body("return getattr(p, 'size')"), {"size"}),
    "getattr with a default": (body("return getattr(p, 'absent', 0)"), set()),
    "a helper with two arguments": (body("return f(inputs, p.rate)", "def f(x, rate):\n    return x * rate"), {"rate"}),
    "handed on by position": (body("return f(inputs, p)", "def f(x, q):\n    return x * q.rate"), {"rate"}),
    "handed on by name": (body("return f(q=p, x=1)", "def f(x, *, q):\n    return x * q.rate"), {"rate"}),
    "handed on twice": (
        body("return f(1, p)", "def f(x, q):\n    return g(q, x)", "def g(p, y):\n    return p.units * y"),
        {"units"},
    ),
    "a function that calls itself": (
        body("return f(p, 3)", "def f(p, n):\n    return f(p, n - 1) if n else p.size"),
        {"size"},
    ),
    "an alias": (body("q = p\n    return q.rate"), {"rate"}),
    "aliases side by side": (body("q, x = p, 1\n    return q.rate * x"), {"rate"}),
    "a nested function that sees it": (body("def f(x):\n        return x * p.rate\n\n    return f(1)"), {"rate"}),
    "a nested function that gets it": (body("def f(q):\n        return q.rate\n\n    return f(p)"), {"rate"}),
    "a nested lambda": (body("return map(lambda x: x * p.rate, inputs)"), {"rate"}),
    "a comprehension": (body("return [x * p.rate for x in inputs]"), {"rate"}),
    "a lambda with a name": (body("return f(p)", "f = lambda q: q.rate"), {"rate"}),
}
ESCAPED = {
    "a class that is called": (CALLABLE, ("preprocess=preprocess", "preprocess=Scaling()")),
    "a whole": body("return p"),
    "a list": body("return [p]"),
    "vars": body("return vars(p)['size']"),
    "locals": body("return locals()"),
    "a computed name": body("return getattr(p, inputs)"),
    "an unknown function": body("return tf.scaled(p)"),
    "an unknown attribute": body("return p.__dict__"),
    "many arguments": body("return f(*[1, 2], p)", "def f(x, q):\n    return q"),
    "any arguments": body("return f(1, p)", "def f(*all):\n    return all"),
    "any names": body("return f(q=p)", "def f(**all):\n    return all"),
    "a decorator": body("return f(p)", "@wrapped\ndef f(q):\n    return q.rate"),
    "a function bound twice": body("return f(p)", "def f(q):\n    return q.rate", "f = other"),
    "a function bound under a condition": body("return f(p)", "def f(q):\n    return q.rate", "if X:\n    f = g"),
    "a local of that name": body("f = g\n    return f(p)", "def f(q):\n    return q.rate"),
    "an attribute": body("inputs.p = p\n    return inputs"),
    "an assignment in an expression": body("return f(q := p)", "def f(q):\n    return q.rate"),
    "a default": body("return (lambda q=p: q.rate)()"),
    "a global": body("global Q\n    Q = p\n    return f()", "def f():\n    return Q.rate"),
}


@pytest.mark.parametrize(("edits", "names"), FOLLOWED.values(), ids=FOLLOWED)
def test_hyperparameters_are_followed(recipe, edits, names):
    assert names == read(recipe(*edits))


@pytest.mark.parametrize("edits", ESCAPED.values(), ids=ESCAPED)
def test_what_cannot_be_followed_may_read_all(recipe, edits):
    assert read(recipe(*edits)) is None


@pytest.mark.parametrize("line", ["from beside import f", "import beside", "from beside import f as g"])
def test_hyperparameters_are_followed_into_files_of_ones_own(recipe, tmp_path, line):
    (tmp_path / "beside.py").write_text("def f(x, q):\n    return x * q.rate\n")
    call = {"from beside import f": "f", "from beside import f as g": "g"}.get(line, "beside.f")
    source = recipe(("SCALE = 255.0", f"{line}\n\nSCALE = 255.0"), *body(f"return {call}(1, p)"))
    assert ({"rate"} if line.startswith("from") else None) == read(source)


TRANSFORM = {
    "adult": {"rare"},
    "assistant": {"length"},
    "connected_digits": {"gain", "quiet", "window"},
    "imdb_lstm": {"length", "vocabulary"},
    "imdb_transformer": {"length", "vocabulary"},
    "support_intents": {"length"},
    "taxi": {"buckets", "rare"},
    "transfer": {"size"},
    "translate": {"length", "source_pieces", "target_pieces"},
}


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_shipped_recipes_prepare_their_data_by_few_hyperparameters(path):
    assert TRANSFORM.get(path.stem, set()) == read(catalog.read_recipe(path))


@pytest.mark.parametrize(("step", "some"), [("ingest", False), ("schema", False), ("score", False), ("train", True)])
def test_training_reads_all_hyperparameters_and_other_steps_none(recipe, step, some):
    source = recipe()
    values = hyperparameters.resolve(source, [])
    assert (values if some else {}) == fingerprint.step_params(source, step, values)


def test_defaults_that_the_data_are_made_of_concern_ingest(recipe):
    data = ("data=None", "data=make(Params().size)")
    before, after = (
        fingerprint.code_digest(recipe(data, *edits), "ingest") for edits in ((), (("size: int = 8", "size: int = 9"),))
    )
    assert before != after
