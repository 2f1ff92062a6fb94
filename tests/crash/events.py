# SPDX-License-Identifier: Apache-2.0
"""Reads a run's event file as TensorBoard does, with Google's protobuf, and compares it with metrics.jsonl.

The messages are described here as tensorflow/core/util/event.proto and framework/summary.proto have them."""
import json
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

OPTIONAL, REPEATED = 1, 3
DOUBLE, FLOAT, INT64, STRING, MESSAGE = 1, 2, 3, 9, 11


def event_class():
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="tensorflow", syntax="proto3")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for field, number, label, kind, type_name in fields:
            made.field.add(name=field, number=number, label=label, type=kind, type_name=type_name)

    message("Value", ("tag", 1, OPTIONAL, STRING, None), ("simple_value", 2, OPTIONAL, FLOAT, None))
    message("Summary", ("value", 1, REPEATED, MESSAGE, ".tensorflow.Value"))
    message("Event", ("wall_time", 1, OPTIONAL, DOUBLE, None), ("step", 2, OPTIONAL, INT64, None),
            ("file_version", 3, OPTIONAL, STRING, None), ("summary", 5, OPTIONAL, MESSAGE, ".tensorflow.Summary"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("tensorflow.Event")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def masked_crc(data):
    """CRC-32C one bit at a time: another way than the writer's table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as file:
        while head := file.read(12):
            length, crc = struct.unpack("<QI", head)
            assert masked_crc(head[:8]) == crc, "length CRC"
            data = file.read(length)
            assert struct.unpack("<I", file.read(4))[0] == masked_crc(data), "data CRC"
            yield data


def main(run):
    event = event_class()
    events = [event.FromString(data) for data in records(run + "/events.out.tfevents.fovea")]
    assert events[0].file_version == "brain.Event:2", events[0]
    assert all(e.wall_time > 1.6e9 for e in events), "times are seconds since 1970"
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    as_float = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
    expected = [(row.pop("step"), {k: as_float(v) for k, v in row.items()}) for row in rows]
    got = [(e.step, {v.tag: v.simple_value for v in e.summary.value}) for e in events[1:]]
    assert got == expected, (got, expected)
    assert len(got) >= 6 and all(not e.SerializeToString() == b"" for e in events)
    for e, data in zip(events, records(run + "/events.out.tfevents.fovea")):
        assert e.SerializeToString() == data, "nothing in it that the messages do not have"
    print(len(got), "events, as metrics.jsonl has them")


main(sys.argv[1])
