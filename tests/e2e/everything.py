"""OTLP requests in which every field of the schema that the installed opentelemetry-proto knows has a value, made by
reflection, so that a field nobody thought of is tested too."""

import collections
import itertools

from google.protobuf.descriptor import FieldDescriptor as Field
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_UNSIGNED = {Field.TYPE_UINT32, Field.TYPE_UINT64, Field.TYPE_FIXED32, Field.TYPE_FIXED64}
_SIGNED = {Field.TYPE_INT32, Field.TYPE_INT64, Field.TYPE_SINT32, Field.TYPE_SINT64, Field.TYPE_SFIXED32,
           Field.TYPE_SFIXED64}
_VALUE_DEPTH_MAX = 2  # AnyValues within AnyValues


class _Filler:
    """Gives every field a value. The alternatives of a oneof take turns, and repeated messages that lead to one are as
    many as it has alternatives."""

    def __init__(self, left_out):
        self._left_out = left_out
        self._numbers = itertools.count(1)
        self._turns = collections.defaultdict(itertools.count)
        self.fields_set = set()

    def fill(self, message, value_depth=0):
        value_depth += message.DESCRIPTOR.full_name.endswith(".AnyValue")
        alternatives = {field.name for oneof in _oneofs(message.DESCRIPTOR) for field in oneof.fields}
        for field in message.DESCRIPTOR.fields:
            if field.name not in alternatives | self._left_out:
                self._set(message, field, value_depth)
        for oneof in _oneofs(message.DESCRIPTOR):
            fields = [field for field in oneof.fields if field.name not in self._left_out and
                      (field.message_type is None or value_depth < _VALUE_DEPTH_MAX)]
            turn = next(self._turns[oneof.full_name, value_depth]) % (len(fields) + 1)
            if turn < len(fields):  # else it stays unset
                self._set(message, fields[turn], value_depth)
        return message

    def _set(self, message, field, value_depth):
        self.fields_set.add(field.full_name)
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, field.name).extend(self._scalar(field) for _ in range(3))
            else:
                setattr(message, field.name, self._scalar(field))
        elif field.is_repeated:
            for _ in range(_turns_needed(field.message_type)):
                self.fill(getattr(message, field.name).add(), value_depth)
        else:
            getattr(message, field.name).SetInParent()
            self.fill(getattr(message, field.name), value_depth)

    def _scalar(self, field):
        n = next(self._numbers)
        if field.type == Field.TYPE_STRING:
            return f"{field.name} {n} äß€𝄞"
        if field.type == Field.TYPE_BYTES:
            size = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}.get(field.name, 11)
            return (n * 0x9E3779B97F4A7C15).to_bytes(24, "little")[:size]
        if field.type == Field.TYPE_BOOL:
            return True
        if field.type == Field.TYPE_ENUM:
            return field.enum_type.values[n % len(field.enum_type.values)].number
        if field.type == Field.TYPE_DOUBLE:
            return n / 7
        if field.type in _UNSIGNED:
            return n
        assert field.type in _SIGNED, field.full_name
        return -n


def _oneofs(descriptor):
    return [oneof for oneof in descriptor.oneofs if len(oneof.fields) > 1]  # one field: proto3's "optional"


def _turns_needed(descriptor):
    """How many messages of this type show all alternatives that it, or a message directly in it, has."""
    types = [descriptor] + [field.message_type for field in descriptor.fields if field.message_type and not field.is_repeated]
    return max([len(oneof.fields) + 1 for type in types for oneof in _oneofs(type)], default=2)


def _fields_below(descriptor, seen):
    """The full names of all fields reachable from a message type."""
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        yield field.full_name
        if field.message_type is not None:
            yield from _fields_below(field.message_type, seen)


def requests(left_out=frozenset()):
    """One request per signal, in the order traces, metrics, logs, without the fields named in `left_out`."""
    made = []
    for make in (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest):
        filler = _Filler(left_out)
        made.append(filler.fill(make()))
        empty = {name for name in set(_fields_below(make.DESCRIPTOR, set())) - filler.fields_set
                 if name.rpartition(".")[2] not in left_out}
        assert not empty, empty
    return made
