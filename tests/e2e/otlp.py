"""OTLP requests as lists of comparable items.

On its way a request may be merged with others or split, and its Resource is given attributes; nothing else may change.
So what was sent and what arrived are compared item by item (span, data point, log record), each together with all that
surrounds it: Resource, scope, schema URLs, and for a data point its metric.
"""

import base64
import collections
import copy
import difflib

import pytest
from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict, ParseDict


def count(requests):
    """How many items there are."""
    total = 0
    for container in _containers(requests):
        for scoped in _scopes(container):
            if hasattr(scoped, "metrics"):
                total += sum(max(1, len(points(metric))) for metric in scoped.metrics)
            else:
                total += len(_spans_or_log_records(scoped))
    return total


def items(requests, enrichment={}):
    """Every item of `requests` as text. Every Resource must have the string attributes `enrichment`, which are left out."""
    found = []
    for container in _containers(requests):
        found += _container_items(container, enrichment)
    return found


def _containers(requests):
    """ResourceSpans, ResourceMetrics or ResourceLogs: all that a request has."""
    for request in requests:
        for _, containers in request.ListFields():
            yield from containers


def _scopes(container):
    for name in ("scope_spans", "scope_metrics", "scope_logs"):
        if hasattr(container, name):
            return getattr(container, name)


def _spans_or_log_records(scoped):
    return scoped.spans if hasattr(scoped, "spans") else scoped.log_records


def points(metric):
    """The data points of a metric, as the message has them."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def _container_items(container, enrichment):
    resource = copy.deepcopy(container.resource)
    added = [attribute for attribute in resource.attributes if attribute.key in enrichment]
    assert {attribute.key: attribute.value.string_value for attribute in added} == enrichment
    for attribute in added:
        resource.attributes.remove(attribute)
    head = f"resource_schema_url: {container.schema_url!r}\nresource {{ {_text(resource)} }}"
    found = []
    for scoped in _scopes(container):
        scope_head = f"{head}\nscope_schema_url: {scoped.schema_url!r}\nscope {{ {_text(scoped.scope)} }}"
        if hasattr(scoped, "metrics"):
            for metric in scoped.metrics:
                found += [f"{scope_head}\n{text}" for text in _metric_items(metric)]
        else:
            found += [f"{scope_head}\nitem {{ {_text(item)} }}" for item in _spans_or_log_records(scoped)]
    return found


def _metric_items(metric):
    if not points(metric):
        return [f"metric without points {{ {_text(metric)} }}"]
    shell = copy.deepcopy(metric)
    del points(shell)[:]
    return [f"metric {{ {_text(shell)} }}\npoint {{ {_text(point)} }}" for point in points(metric)]


def _text(message):
    return text_format.MessageToString(message)


def to_json(request):
    """OTLP/JSON as the specification has it: ids in hexadecimal and enums as numbers, otherwise proto3's JSON."""
    return _with_ids(MessageToDict(request, use_integers_for_enums=True), lambda id: base64.b64decode(id).hex())


def from_json(document, message):
    """Fills `message` with OTLP/JSON."""
    return ParseDict(_with_ids(document, lambda id: base64.b64encode(bytes.fromhex(id)).decode()), message)


def _with_ids(node, convert):
    if isinstance(node, list):
        return [_with_ids(element, convert) for element in node]
    if not isinstance(node, dict):
        return node
    return {key: convert(value) if key in ("traceId", "spanId", "parentSpanId") else _with_ids(value, convert)
            for key, value in node.items()}


def assert_same(sent, arrived):
    """Both from items()."""
    missing = sorted((collections.Counter(sent) - collections.Counter(arrived)).elements())
    extra = sorted((collections.Counter(arrived) - collections.Counter(sent)).elements())
    if not missing and not extra:
        return
    pair = [items[0].splitlines() if items else [] for items in (missing, extra)]
    pytest.fail(f"{len(sent)} items sent, {len(arrived)} arrived; {len(missing)} are missing, {len(extra)} are new or "
                "changed. The first of each:\n" + "\n".join(difflib.unified_diff(*pair, "missing", "new", lineterm="")),
                pytrace=False)
