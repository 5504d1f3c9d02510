#include "agent/pod.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

#include "otlp/json_text.h"

namespace tributary::agent {
namespace {

namespace dom = simdjson::dom;
using Conflict = otlp::ResourceEdit::Conflict;

constexpr std::string_view kResourceAnnotation = "resource.opentelemetry.io/";
constexpr std::string_view kTemplateHash = "pod-template-hash";
constexpr std::string_view kLabelledInstance = "app.kubernetes.io/instance";
constexpr std::string_view kLabelledName = "app.kubernetes.io/name";
constexpr std::string_view kLabelledVersion = "app.kubernetes.io/version";
// Of a static pod: its own uid, on the mirror that the API server has, and on what the kubelet itself tells.
constexpr std::string_view kConfigMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kConfigHash = "kubernetes.io/config.hash";

// --- Reading --------------------------------------------------------------------------------------------------------

// Empty when it is no string. Attributes must be UTF-8, and simdjson lets lone surrogates (\udc00) through.
std::string Text(const dom::element& value) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS || !simdjson::validate_utf8(text.data(), text.size())) return {};
  return std::string(text);
}
// Of what is at a JSON pointer.
std::string Text(const dom::element& element, std::string_view pointer) {
  dom::element value;
  return element.at_pointer(pointer).get(value) == simdjson::SUCCESS ? Text(value) : std::string();
}

template <typename Take>
void ForEach(const dom::element& element, std::string_view pointer, Take take) {
  dom::array array;
  if (element.at_pointer(pointer).get(array) != simdjson::SUCCESS) return;
  for (const dom::element item : array) take(item);
}

template <typename Wanted>
Pod::Pairs ReadPairs(const dom::element& element, std::string_view pointer, Wanted wanted) {
  Pod::Pairs pairs;
  dom::object object;
  if (element.at_pointer(pointer).get(object) != simdjson::SUCCESS) return pairs;
  for (const auto& [key, value] : object) {
    if (std::string text = wanted(key) ? Text(value) : ""; !text.empty()) pairs.emplace_back(key, std::move(text));
  }
  return pairs;
}

// "containerd://4745e8d6..." without the runtime.
std::string ContainerId(std::string text) {
  const size_t slashes = text.find("://");
  return slashes == std::string::npos ? text : text.substr(slashes + 3);
}

void ReadContainers(const dom::element& element, Pod& pod) {
  for (const char* list : {"/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"}) {
    ForEach(element, list, [&](const dom::element& item) {
      pod.containers.push_back(
          {.name = Text(item, "/name"), .image = Text(item, "/image"), .id = {}, .previous_id = {}});
    });
  }
  for (const char* list :
       {"/status/containerStatuses", "/status/initContainerStatuses", "/status/ephemeralContainerStatuses"}) {
    ForEach(element, list, [&](const dom::element& status) {
      const auto container = std::ranges::find(pod.containers, Text(status, "/name"), &Container::name);
      if (container == pod.containers.end()) return;
      container->id = ContainerId(Text(status, "/containerID"));
      container->previous_id = ContainerId(Text(status, "/lastState/terminated/containerID"));
    });
  }
}

// Nothing when it has no uid or no name.
std::optional<Pod> ReadPod(const dom::element& element, const PodFields& fields) {
  Pod pod{.uid = Text(element, "/metadata/uid"),
          .static_uid = {},
          .name = Text(element, "/metadata/name"),
          .namespace_name = Text(element, "/metadata/namespace"),
          .node_name = Text(element, "/spec/nodeName"),
          .start_time = Text(element, "/status/startTime"),
          .owner_kind = {},
          .owner_name = {},
          .labels = {},
          .annotations = {},
          .containers = {}};
  if (pod.uid.empty() || pod.name.empty()) return std::nullopt;
  ForEach(element, "/metadata/ownerReferences", [&](const dom::element& owner) {
    bool controls = false;
    if (owner["controller"].get(controls) != simdjson::SUCCESS || !controls) return;
    pod.owner_kind = Text(owner, "/kind");
    pod.owner_name = Text(owner, "/name");
  });
  pod.labels = ReadPairs(element, "/metadata/labels", [&](std::string_view key) {
    return key == kTemplateHash || key == kLabelledInstance || key == kLabelledName || key == kLabelledVersion ||
           std::ranges::find(fields.labels, key) != fields.labels.end();
  });
  pod.annotations = ReadPairs(element, "/metadata/annotations", [&](std::string_view key) {
    return key.starts_with(kResourceAnnotation) || key == kConfigMirror || key == kConfigHash ||
           std::ranges::find(fields.annotations, key) != fields.annotations.end();
  });
  for (const std::string_view key : {kConfigMirror, kConfigHash}) {
    if (pod.static_uid.empty()) pod.static_uid = Lookup(pod.annotations, key);
  }
  ReadContainers(element, pod);
  return pod;
}

base::Result<dom::element> ParseJson(dom::parser& parser, std::string_view json_untrusted) {
  dom::element element;
  const simdjson::error_code error = parser.parse(json_untrusted.data(), json_untrusted.size()).get(element);
  if (error != simdjson::SUCCESS) return base::Fail("malformed JSON: {}", simdjson::error_message(error));
  return element;
}

}  // namespace

std::string_view Lookup(const Pod::Pairs& pairs, std::string_view key) {
  const auto pair = std::ranges::find(pairs, key, &Pod::Pairs::value_type::first);
  return pair == pairs.end() ? std::string_view() : pair->second;
}

base::Result<PodList> ParsePodList(std::string_view json_untrusted, const PodFields& fields) {
  dom::parser parser;
  const auto element = ParseJson(parser, json_untrusted);
  if (!element) return std::unexpected(element.error());
  // The kubelet's list has null for no items.
  if ((*element)["items"].error() != simdjson::SUCCESS) {
    return base::Fail("not a list of pods: no \"items\" (kind \"{}\")", Text(*element, "/kind"));
  }
  PodList list{.resource_version = Text(*element, "/metadata/resourceVersion"), .pods = {}};
  ForEach(*element, "/items", [&](const dom::element& item) {
    if (auto pod = ReadPod(item, fields)) list.pods.push_back(std::move(*pod));
  });
  return list;
}

base::Result<PodEvent> ParsePodEvent(std::string_view json_untrusted, const PodFields& fields) {
  dom::parser parser;
  const auto element = ParseJson(parser, json_untrusted);
  if (!element) return std::unexpected(element.error());
  const std::string type = Text(*element, "/type");
  PodEvent event{.kind = PodEvent::Kind::kBookmark,
                 .pod = {},
                 .resource_version = Text(*element, "/object/metadata/resourceVersion"),
                 .detail = {}};
  if (type == "BOOKMARK") return event;
  if (type == "ERROR") {
    constexpr int64_t kGone = 410;
    int64_t code = 0;
    if (element->at_pointer("/object/code").get(code) != simdjson::SUCCESS) code = 0;
    event.kind = code == kGone ? PodEvent::Kind::kExpired : PodEvent::Kind::kError;
    event.detail = Text(*element, "/object/message");
    return event;
  }
  if (type != "ADDED" && type != "MODIFIED" && type != "DELETED") {
    return base::Fail("not a watch event: type \"{}\"", type);
  }
  event.kind = type == "DELETED" ? PodEvent::Kind::kDeleted : PodEvent::Kind::kPut;
  dom::element object;
  if ((*element)["object"].get(object) != simdjson::SUCCESS) return base::Fail("a watch event without \"object\"");
  auto pod = ReadPod(object, fields);
  if (!pod) return base::Fail("a watch event of a pod without uid or name");
  event.pod = std::move(*pod);
  return event;
}

// --- Writing --------------------------------------------------------------------------------------------------------

namespace {

// {"key":"value",...}, leaving out those that are empty.
class ObjectText {
 public:
  explicit ObjectText(std::string& json) : json_(json) { json_ += '{'; }
  ~ObjectText() { json_ += '}'; }
  ObjectText(const ObjectText&) = delete;
  ObjectText& operator=(const ObjectText&) = delete;

  std::string& Key(std::string_view key) {
    if (json_.back() != '{') json_ += ',';
    otlp::AppendQuoted(key, json_);
    json_ += ':';
    return json_;
  }
  void Set(std::string_view key, std::string_view value) {
    if (!value.empty()) otlp::AppendQuoted(value, Key(key));
  }
  void Set(std::string_view key, const Pod::Pairs& pairs) {
    ObjectText object(Key(key));
    for (const auto& [name, value] : pairs) object.Set(name, value);
  }

 private:
  std::string& json_;
};

template <typename Items, typename Write>
void WriteArray(std::string& json, const Items& items, Write write) {
  json += '[';
  bool first = true;
  for (const auto& item : items) {
    if (!std::exchange(first, false)) json += ',';
    write(item);
  }
  json += ']';
}

void WritePod(const Pod& pod, std::string& json) {
  ObjectText object(json);
  {
    ObjectText metadata(object.Key("metadata"));
    metadata.Set("uid", pod.uid);
    metadata.Set("name", pod.name);
    metadata.Set("namespace", pod.namespace_name);
    metadata.Set("labels", pod.labels);
    metadata.Set("annotations", pod.annotations);
    if (!pod.owner_kind.empty()) {
      WriteArray(metadata.Key("ownerReferences"), std::initializer_list<int>{0}, [&](int) {
        ObjectText owner(json);
        owner.Set("kind", pod.owner_kind);
        owner.Set("name", pod.owner_name);
        owner.Key("controller") += "true";
      });
    }
  }
  {
    ObjectText spec(object.Key("spec"));
    spec.Set("nodeName", pod.node_name);
    WriteArray(spec.Key("containers"), pod.containers, [&](const Container& container) {
      ObjectText item(json);
      item.Set("name", container.name);
      item.Set("image", container.image);
    });
  }
  ObjectText status(object.Key("status"));
  status.Set("startTime", pod.start_time);
  WriteArray(status.Key("containerStatuses"), pod.containers, [&](const Container& container) {
    ObjectText item(json);
    item.Set("name", container.name);
    item.Set("containerID", container.id);
    if (container.previous_id.empty()) return;
    ObjectText last_state(item.Key("lastState"));
    ObjectText terminated(last_state.Key("terminated"));
    terminated.Set("containerID", container.previous_id);
  });
}

}  // namespace

std::string FormatPodList(const std::vector<const Pod*>& pods) {
  std::string json = R"({"apiVersion":"v1","kind":"PodList","items":)";
  WriteArray(json, pods, [&](const Pod* pod) {
    json += '\n';
    WritePod(*pod, json);
  });
  json += "}\n";
  return json;
}

// --- Attributes -----------------------------------------------------------------------------------------------------

namespace {

// "registry:5000/shop/api:1.4@sha256:ab" is name, tag and digest. A colon before the last slash is a port's.
struct Image {
  std::string_view name, tag, digest;
};

Image ParseImage(std::string_view text) {
  Image image;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    image.digest = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const size_t slash = text.rfind('/');
  const size_t colon = text.find(':', slash == std::string_view::npos ? 0 : slash);
  image.name = text.substr(0, colon);
  if (colon != std::string_view::npos) image.tag = text.substr(colon + 1);
  return image;
}

// Of "api-6d4cf56db6", whose pods carry the hash as a label, "api". Empty when it is not a Deployment's.
std::string_view DeploymentOf(std::string_view replica_set, std::string_view template_hash) {
  if (template_hash.empty() || !replica_set.ends_with(template_hash)) return {};
  replica_set.remove_suffix(template_hash.size());
  if (!replica_set.ends_with('-')) return {};
  return replica_set.substr(0, replica_set.size() - 1);
}

// Of "report-29387520", whose number is the minute it was due since 1970, "report".
std::string_view CronJobOf(std::string_view job) {
  constexpr size_t kDigitsMin = 8;
  const size_t dash = job.rfind('-');
  if (dash == std::string_view::npos || job.size() - dash - 1 < kDigitsMin) return {};
  const std::string_view digits = job.substr(dash + 1);
  return digits.find_first_not_of("0123456789") == std::string_view::npos ? job.substr(0, dash) : std::string_view();
}

// The controllers above a pod, nearest last: {attribute, name}.
std::vector<std::pair<std::string_view, std::string_view>> Owners(const Pod& pod) {
  const std::string_view name = pod.owner_name;
  if (pod.owner_kind == "ReplicaSet") {
    return {{"k8s.deployment.name", DeploymentOf(name, Lookup(pod.labels, kTemplateHash))},
            {"k8s.replicaset.name", name}};
  }
  if (pod.owner_kind == "StatefulSet") return {{"k8s.statefulset.name", name}};
  if (pod.owner_kind == "DaemonSet") return {{"k8s.daemonset.name", name}};
  if (pod.owner_kind == "Job") return {{"k8s.cronjob.name", CronJobOf(name)}, {"k8s.job.name", name}};
  return {};
}

std::string_view FirstOf(std::initializer_list<std::string_view> candidates) {
  const auto first = std::ranges::find_if(candidates, [](std::string_view text) { return !text.empty(); });
  return first == candidates.end() ? std::string_view() : *first;
}

std::string_view Labelled(const Pod& pod, const PodFields& fields, std::string_view key) {
  return fields.service_from_labels ? Lookup(pod.labels, key) : std::string_view();
}

std::string ServiceName(const Pod& pod, const PodFields& fields) {
  std::string_view owner;
  for (const auto& [attribute, name] : Owners(pod)) owner = FirstOf({owner, name});
  return std::string(
      FirstOf({Labelled(pod, fields, kLabelledInstance), Labelled(pod, fields, kLabelledName), owner, pod.name}));
}

std::string ServiceVersion(const Pod& pod, const Container* container, const PodFields& fields) {
  if (const std::string_view label = Labelled(pod, fields, kLabelledVersion); !label.empty()) return std::string(label);
  if (container == nullptr) return {};
  const Image image = ParseImage(container->image);
  if (image.tag.empty() || image.digest.empty()) return std::string(FirstOf({image.tag, image.digest}));
  return std::string(image.tag) + '@' + std::string(image.digest);
}

}  // namespace

void AddAttributes(const Pod& pod, const Container* container, const PodFields& fields, otlp::ResourceEdit& edit) {
  const auto set = [&edit](std::string_view key, std::string_view value, Conflict conflict) {
    if (!value.empty()) edit.SetString(key, value, conflict);
  };
  set("k8s.pod.name", pod.name, Conflict::kReplace);
  set("k8s.pod.uid", pod.uid, Conflict::kReplace);
  set("k8s.pod.start_time", pod.start_time, Conflict::kReplace);
  set("k8s.namespace.name", pod.namespace_name, Conflict::kReplace);
  set("k8s.node.name", pod.node_name, Conflict::kReplace);
  for (const auto& [attribute, name] : Owners(pod)) set(attribute, name, Conflict::kReplace);
  for (const std::string& key : fields.labels) {
    set("k8s.pod.label." + key, Lookup(pod.labels, key), Conflict::kReplace);
  }
  for (const std::string& key : fields.annotations) {
    set("k8s.pod.annotation." + key, Lookup(pod.annotations, key), Conflict::kReplace);
  }
  std::string instance = pod.namespace_name + '.' + pod.name;
  if (container != nullptr) {
    instance += '.' + container->name;
    set("k8s.container.name", container->name, Conflict::kReplace);
    const Image image = ParseImage(container->image);
    set("container.image.name", image.name, Conflict::kReplace);
    if (!image.tag.empty()) edit.SetStrings("container.image.tags", {image.tag}, Conflict::kReplace);
  }
  set("service.name", ServiceName(pod, fields), Conflict::kKeep);
  set("service.namespace", pod.namespace_name, Conflict::kKeep);
  set("service.version", ServiceVersion(pod, container, fields), Conflict::kKeep);
  set("service.instance.id", instance, Conflict::kKeep);
  // What the pod's author says goes before what we made up.
  for (const auto& [key, value] : pod.annotations) {
    if (!key.starts_with(kResourceAnnotation)) continue;
    const std::string attribute = key.substr(kResourceAnnotation.size());
    const auto* known = edit.Find(attribute);
    if (known == nullptr || known->conflict == Conflict::kKeep) set(attribute, value, Conflict::kKeep);
  }
}

}  // namespace tributary::agent
