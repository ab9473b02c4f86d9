import hashlib
import os
import pathlib
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from vae_jax.observation.legacy_pickle import read_state

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


def dump(*objects):
    return b"".join(pickle.dumps(item, protocol=2) for item in objects)


def read(content):
    return read_state(content, hashlib.sha256(content).hexdigest())


def wrap(state, keys=(), numbers=b""):
    """Returns a file with the given pickle of the arrays."""
    return dump(MAGIC, VERSION, {}) + state + dump(list(keys)) + numbers


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def make_tensor(
    pid=None, count=6, kind="torch\nFloatStorage", offset=0, shape=(2, 3), strides=(3, 1)
):
    """Returns the opcodes of one array, written by hand as PyTorch writes them."""
    if pid is None:
        pid = b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text("7") + text("cpu")
        pid += integer(count) + b"N" + b"t"
    arguments = pid + b"Q" + integer(offset) + tuple_of(shape) + tuple_of(strides)
    empty = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89" + empty + b"tR"


def integer(value):
    return b"J" + struct.pack("<i", value)


def tuple_of(numbers):
    return b"(" + b"".join(map(integer, numbers)) + b"t"


def make_state(tensor):
    return b"\x80\x02ccollections\nOrderedDict\n)R" + text("a") + tensor + b"s."


NUMBERS = np.arange(6, dtype="<f4")
STORAGE = struct.pack("<q", 6) + NUMBERS.tobytes()


def test_an_array_is_read():
    state = read(wrap(make_state(make_tensor()), ["7"], STORAGE))
    assert list(state) == ["a"]
    np.testing.assert_array_equal(state["a"], NUMBERS.reshape(2, 3))


def test_strides_and_offset_are_obeyed():
    tensor = make_tensor(offset=1, shape=(2, 2), strides=(1, 2))
    state = read(wrap(make_state(tensor), ["7"], STORAGE))
    np.testing.assert_array_equal(state["a"], [[1, 3], [2, 4]])


def test_a_file_of_torch_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = OrderedDict(
        weight=torch.randn(3, 4, 2), turned=torch.randn(3, 4).T, count=torch.tensor(7)
    )
    path = tmp_path / "state.pth"
    torch.save(arrays, path, _use_new_zipfile_serialization=False)
    state = read(path.read_bytes())
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(state[name], array.numpy())


def test_nothing_is_parsed_if_the_digest_differs(ran):
    content = dump(Call(ran.command))
    with pytest.raises(ValueError, match=r"its SHA-256 is \w{64} instead of 00"):
        read_state(content, "00")
    assert not ran.happened()


class Call:
    """Pickles as a call of a function."""

    def __init__(self, command, function=os.system):
        self.call = function, (command,)

    def __reduce__(self):
        return self.call


class Ran:
    """A command that leaves a file when it runs."""

    def __init__(self, folder):
        self.path = folder / "ran"
        self.command = f"touch {self.path}"
        self.python = f"open({str(self.path)!r}, 'w')"

    def happened(self):
        return self.path.exists()


@pytest.fixture
def ran(tmp_path):
    return Ran(tmp_path)


def malicious_pickles(ran):
    """Returns name -> pickle that runs code where everything may be named."""
    command, python = text(ran.command), text(ran.python)
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n"
    getattr_globals = b"cbuiltins\ngetattr\n(" + rebuild + text("__globals__") + b"tR"
    return {
        "a call of os.system": dump(Call(ran.command)),
        "a call of eval": dump(Call(ran.python, eval)),
        "a call of exec": dump(Call(ran.python, exec)),
        "posix.system by opcodes": b"\x80\x02cposix\nsystem\n(" + command + b"tR.",
        "an old instance": b"(" + command + b"ios\nsystem\n.",
        "an object opcode": b"(cos\nsystem\n" + command + b"o.",
        "a name on the stack": b"\x80\x04" + text("os") + text("system") + b"\x93" + command + b"\x85R.",
        "getattr of a function": b"\x80\x02" + getattr_globals + b".",
        "a dotted name": b"\x80\x04" + text("torch._utils") + text("_rebuild_tensor_v2.__globals__")
        + b"\x93.",
        "a dotted name of a dict": b"\x80\x04" + text("collections")
        + text("OrderedDict.__init__.__globals__") + b"\x93.",
        "the importer": b"\x80\x02cimportlib\nimport_module\n(" + text("os") + b"tR.",
        "a class to build": b"\x80\x02c__builtin__\nobject\n)\x81.",
        "eval inside the arguments": b"\x80\x02" + rebuild + b"(cbuiltins\neval\n(" + python + b"tRtR.",
        "another torch function": b"\x80\x02ctorch.hub\nload\n(" + command + b"tR.",
        "an extension code": b"\x80\x02\x82\x01.",
    }  # fmt: skip


@pytest.mark.parametrize("name", malicious_pickles(Ran(pathlib.Path())))
@pytest.mark.parametrize("position", range(5))
def test_a_malicious_pickle_is_refused_and_runs_nothing(ran, name, position):
    parts = [dump(MAGIC), dump(VERSION), dump({}), make_state(make_tensor()), dump(["7"])]
    parts[position] = malicious_pickles(ran)[name]
    with pytest.raises(ValueError, match=r"it names|extension code"):
        read(b"".join(parts) + STORAGE)
    assert not ran.happened()


def test_the_malicious_pickles_would_run_without_the_restriction(ran):
    pickle.loads(malicious_pickles(ran)["posix.system by opcodes"])
    assert ran.happened()


ALLOWED = ["collections\nOrderedDict", "torch._utils\n_rebuild_tensor_v2", "torch\nFloatStorage"]


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("attribute", ["__call__", "__class__", "dtype"])
@pytest.mark.parametrize("with_slots", [False, True])
def test_a_pickle_cannot_change_what_it_may_name(name, attribute, with_slots):
    entry = b"}" + text(attribute) + b"Ns"
    state = b"N" + entry + b"\x86" if with_slots else entry
    with pytest.raises(ValueError, match=r".+"):
        read(wrap(b"\x80\x02c" + name.encode() + b"\n" + state + b"b."))
    assert read(wrap(make_state(make_tensor()), ["7"], STORAGE))["a"].shape == (2, 3)


def test_attributes_of_the_state_are_dropped():
    state = make_state(make_tensor())[:-1] + b"}" + text("_metadata") + b"Nsb."
    assert list(read(wrap(state, ["7"], STORAGE))) == ["a"]


STORAGE_ID = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("7") + text("cpu")


@pytest.mark.parametrize(
    "pid",
    [
        text("storage"),
        b"(" + text("storage") + b"t",
        STORAGE_ID + integer(6) + b"t",
        STORAGE_ID + integer(6) + b"NNt",
        STORAGE_ID + integer(-1) + b"Nt",
        STORAGE_ID + text("6") + b"Nt",
        STORAGE_ID + b"\x88Nt",
        STORAGE_ID + integer(6) + text("view") + b"t",
        STORAGE_ID.replace(b"storage", b"modules") + integer(6) + b"Nt",
        STORAGE_ID.replace(b"cpu", b"gpu") + integer(6) + b"Nt",
        b"(" + text("storage") + text("FloatStorage") + text("7") + text("cpu") + integer(6) + b"Nt",
        b"(" + text("storage") + b"ccollections\nOrderedDict\n" + text("7") + text("cpu")
        + integer(6) + b"Nt",
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + integer(7) + text("cpu") + integer(6)
        + b"Nt",
    ],
)  # fmt: skip
def test_a_persistent_id_of_another_form_is_refused(pid):
    with pytest.raises(ValueError, match="a persistent id does not describe a storage"):
        read(wrap(make_state(make_tensor(pid)), ["7"], STORAGE))


@pytest.mark.parametrize("kind", ["torch\nHalfStorage", "torch\nQInt8Storage", "numpy\nndarray"])
def test_a_storage_of_another_type_is_refused(kind):
    with pytest.raises(ValueError, match=f"it names {kind.replace(chr(10), '.')}"):
        read(wrap(make_state(make_tensor(kind=kind)), ["7"], STORAGE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": 1}, "reaches beyond its storage"),
        ({"shape": (3, 3)}, "reaches beyond its storage"),
        ({"strides": (2**30, 1)}, "reaches beyond its storage"),
        ({"offset": -1}, "wrong storage, offset"),
        ({"strides": (-3, 1)}, "wrong storage, offset"),
        ({"shape": (2, -3)}, "wrong storage, offset"),
        ({"strides": (3,)}, "another number of strides"),
        ({"count": 7}, "another length"),
    ],
)
def test_an_array_that_does_not_fit_its_storage_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        read(wrap(make_state(make_tensor(**changes)), ["7"], STORAGE))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Ran out of input"),
        (b"PK\x03\x04", "."),
        (dump(1, 2, 3), "not in PyTorch's old format"),
        (wrap(dump({"a": 1})), "other objects than a dict of arrays"),
        (wrap(dump([1])), "other objects than a dict of arrays"),
        (wrap(make_state(make_tensor()), [], STORAGE), "its list of storages"),
        (wrap(make_state(make_tensor()), ["7", "8"], STORAGE), "its list of storages"),
        (wrap(make_state(make_tensor()), ["7"], STORAGE[:-1]), "ends too early"),
        (wrap(make_state(make_tensor()), ["7"], STORAGE[:-4]), "ends too early"),
    ],
)
def test_a_damaged_file_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        read(content)
