# SPDX-License-Identifier: Apache-2.0
"""Reads what torch.save() wrote, without PyTorch and without running anything that is in the file.

Both formats: the zip archive (PyTorch 1.6 and newer) and the pickle stream before it. A pickle can name any function of
any module to be called; here a name means one of the few things listed in `_Unpickler`, and any other is refused.
"""

import array
import collections
import io
import math
import pickle
import struct
import sys
import zipfile

_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
_STORAGES = {"FloatStorage": "f", "DoubleStorage": "d", "LongStorage": "q", "IntStorage": "i", "ShortStorage": "h",
             "CharStorage": "b", "ByteStorage": "B", "BoolStorage": "B"}
_NUMPY = {"f4": "f", "f8": "d", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "b1": "B"}


class TorchFileError(Exception):
    """One line that says what is wrong with the file."""


def _numbers(code, raw):
    values = array.array(code, raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class _Storage:
    """Memory that tensors share; filled once the file's pickle is read."""

    def __init__(self, code, count):
        self.code, self.count, self.values = code, count, None

    def bytes(self):
        return self.count * array.array(self.code).itemsize

    def fill(self, raw):
        if len(raw) != self.bytes():
            raise TorchFileError(f"a tensor has {len(raw)} bytes, expected {self.bytes()}")
        self.values = _numbers(self.code, raw)


class Tensor:
    """shape, a tuple; values(), flat, in row-major order, an array.array; code, its type ('f', 'd', 'q', …)"""

    def __init__(self, storage, offset, shape, stride):
        whole = (isinstance(n, int) and n >= 0 for n in (offset, *shape, *stride))
        if not isinstance(storage, _Storage) or len(shape) != len(stride) or not all(whole):
            raise TorchFileError("a tensor has no proper storage, shape or stride")
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride))
        if math.prod(shape) > storage.count or (math.prod(shape) > 0 and last >= storage.count):
            raise TorchFileError(f"a tensor of shape {list(shape)} reaches beyond its {storage.count} numbers")
        self.shape, self.code = tuple(shape), storage.code
        self._storage, self._offset, self._stride = storage, offset, tuple(stride)

    def values(self):
        at = [self._offset]
        for count, step in zip(self.shape, self._stride):
            at = [first + k * step for first in at for k in range(count)]
        return array.array(self.code, (self._storage.values[k] for k in at))


class _NumpyType:
    def __init__(self, name):
        self.name, self.order = str(name), "<"

    def __setstate__(self, state):
        self.order = state[1]

    def read(self, raw):
        if self.name not in _NUMPY or self.order == ">":
            raise TorchFileError(f"an array of NumPy type {self.name} cannot be read")
        return _numbers(_NUMPY[self.name], raw)


class _NumpyArray:
    def __setstate__(self, state):
        _, self.shape, kind, fortran, raw = state
        values = kind.read(raw)
        if math.prod(self.shape) != len(values) or (fortran and len(self.shape) > 1):
            raise TorchFileError(f"a NumPy array of shape {list(self.shape)} has {len(values)} numbers in another "
                                 "order")
        self.flat = values


def plain(value):
    """Tensors and arrays within `value` as nested lists, one of a single number and no shape as that number."""
    if isinstance(value, (Tensor, _NumpyArray)):
        flat = list(value.values() if isinstance(value, Tensor) else value.flat)
        for count in reversed(value.shape[1:]):
            flat = [flat[k:k + count] for k in range(0, len(flat), count)] if count else []
        return flat if value.shape else flat[0]
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def _encode(text, encoding="latin1"):
    if encoding != "latin1":
        raise TorchFileError(f"a text in the encoding {encoding} is not expected")
    return text.encode("latin1")


def _inert(name):
    """A class that can be named in a file, and not made: training keeps the model's class among its settings."""
    def refuse(*_):
        raise TorchFileError(f"it holds an object of class {name}; save its state_dict() instead")
    return type(name.rpartition(".")[2], (), {"__new__": refuse})


class _Unpickler(pickle._Unpickler):
    """The one written in Python: a damaged file makes the other take gigabytes for its table of objects."""

    def __init__(self, file, storage_of):
        super().__init__(file)
        self._storage_of = storage_of

    def find_class(self, module, name):
        known = {  # no class or function of ours itself: a pickle may change the attributes of what it gets
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("__builtin__", "set"): set,
            ("torch", "Size"): tuple,
            ("torch", "device"): lambda *where: ":".join(str(part) for part in where),
            ("torch._utils", "_rebuild_tensor"): lambda *what: Tensor(*what[:4]),
            ("torch._utils", "_rebuild_tensor_v2"): lambda *what: Tensor(*what[:4]),
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("numpy", "ndarray"): None,  # an argument of _reconstruct
            ("numpy", "dtype"): lambda name, *_: _NumpyType(name),
            ("_codecs", "encode"): lambda *what: _encode(*what),
        }
        if module.startswith("numpy.") and module.endswith("core.multiarray"):
            known[module, "_reconstruct"] = lambda *_: _NumpyArray()
            known[module, "scalar"] = lambda kind, raw: kind.read(raw)[0]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module.split(".")[0] == "torchdeepretina":
            return _inert(f"{module}.{name}")
        if (module, name) not in known:
            raise TorchFileError(f"it names {module}.{name}, which is none of the few things that are read; nothing "
                                 "was run")
        return known[module, name]

    def persistent_load(self, what):
        if isinstance(what, tuple) and len(what) == 5 and what[0] == "storage":
            return self._storage_of(what[1], str(what[2]), what[4])
        if isinstance(what, tuple) and len(what) == 6 and what[0] == "storage" and what[5] is None:
            return self._storage_of(what[1], str(what[2]), what[4])
        if isinstance(what, tuple) and len(what) == 4 and what[0] == "module":  # a class with its source text
            return what[1]
        raise TorchFileError("it refers to memory in a way that is not known")


class _Storages:
    def __init__(self, most_bytes):
        self.by_key, self._most_bytes = {}, most_bytes

    def __call__(self, code, key, count):
        if key not in self.by_key:
            if not isinstance(code, str) or not isinstance(count, int) or count < 0:
                raise TorchFileError("a tensor has no proper storage, shape or stride")
            made = _Storage(code, count)
            if made.bytes() > self._most_bytes:
                raise TorchFileError(f"it ends before its tensors do: one has {made.bytes()} bytes")
            self.by_key[key] = made
        return self.by_key[key]


def _read_zip(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = next((name[:-len("data.pkl")] for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if root is None:
            raise TorchFileError("is a zip archive, but none of PyTorch: it has no data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise TorchFileError("its archive is compressed, which PyTorch's are not")
        if root + "byteorder" in archive.namelist() and archive.read(root + "byteorder") != b"little":
            raise TorchFileError("its numbers are big-endian; save it again on a little-endian machine")
        storages = _Storages(len(content))
        saved = _Unpickler(io.BytesIO(archive.read(root + "data.pkl")), storages).load()
        for key, storage in storages.by_key.items():
            storage.fill(archive.read(f"{root}data/{key}"))
        return saved


def _read_legacy(content):
    file, storages = io.BytesIO(content), _Storages(len(content))

    def load():
        return _Unpickler(file, storages).load()

    load()  # the magic number
    if load() != _LEGACY_PROTOCOL:
        raise TorchFileError(f"its protocol is none of PyTorch's, which is {_LEGACY_PROTOCOL}")
    if not load().get("little_endian", True):
        raise TorchFileError("its numbers are big-endian; save it again on a little-endian machine")
    saved = load()
    for key in load():
        storage = storages.by_key[str(key)]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise TorchFileError(f"a tensor has {count} numbers, expected {storage.count}")
        storage.fill(file.read(storage.bytes()))
    return saved


def load(path):
    """What was given to torch.save(): dicts, lists, numbers, texts and Tensors. throws TorchFileError, OSError"""
    with open(path, "rb") as file:
        content = file.read()
    zipped = content.startswith(b"PK\x03\x04")
    if not zipped and not content.startswith(_LEGACY_MAGIC):
        raise TorchFileError(f"{path}: is no file of torch.save()")
    try:
        return _read_zip(content) if zipped else _read_legacy(content)
    except TorchFileError as error:
        raise TorchFileError(f"{path}: {error}") from None
    except Exception as error:  # a pickle that is damaged can bring about any of them
        raise TorchFileError(f"{path}: is cut short or damaged ({type(error).__name__})") from None
