#include <algorithm>

#include "base/strings.h"
#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostAnnotationBytes = 256 << 10;

void decode_annotations(const Field& field, ObjectMeta& out) {
  size_t bytes = 0;
  for (const Field& entry : field.entries()) {
    // Annotation keys may have upper case in the prefix too; validation lowers it first.
    std::string lower = entry.key();
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    if (auto wrong = check_label_key(lower))
      entry.error_at_key("annotation key " + quoted(entry.key()) + ": " + *wrong);
    bytes += entry.key().size() + entry.text().size();
    out.annotations[entry.key()] = entry.text();
  }
  if (bytes > kMostAnnotationBytes)
    field.error("annotations of " + std::to_string(bytes) + " bytes, expected at most " +
                std::to_string(kMostAnnotationBytes));
}

}  // namespace

Labels decode_labels(const Field& field) {
  Labels labels;
  for (const Field& entry : field.entries()) labels[entry.key()] = entry.text();
  return labels;
}

void decode_meta(const Field& metadata, ObjectMeta& out) {
  out.name = metadata["name"].text();
  out.ns = metadata["namespace"].text();
  out.uid = metadata["uid"].text();
  out.creation_timestamp = normal_rfc3339(metadata["creationTimestamp"].text());
  out.labels = decode_labels(metadata["labels"]);
  decode_annotations(metadata["annotations"], out);

  int controllers = 0;
  for (const Field& owner : metadata["ownerReferences"].items())
    if (owner["controller"].boolean() && ++controllers > 1)
      owner["controller"].error("a second controller, expected at most one");
}

LabelSelector decode_selector(const Field& field) {
  LabelSelector selector;
  selector.match_labels = decode_labels(field["matchLabels"]);
  for (const Field& item : field["matchExpressions"].items()) {
    LabelRequirement requirement;
    requirement.key = item["key"].text();
    std::string op = item["operator"].text();
    requirement.op = op == "In"       ? LabelRequirement::Op::kIn
                     : op == "NotIn"  ? LabelRequirement::Op::kNotIn
                     : op == "Exists" ? LabelRequirement::Op::kExists
                                      : LabelRequirement::Op::kDoesNotExist;
    Field values = item["values"];
    requirement.values = values.texts();
    bool wants_values = op == "In" || op == "NotIn";
    if (wants_values && requirement.values.empty())
      values.error("is empty; operator " + op + " needs at least one value");
    if (!wants_values && !requirement.values.empty() && !op.empty())
      values.error("must be empty with operator " + op);
    std::sort(requirement.values.begin(), requirement.values.end());
    requirement.values.erase(std::unique(requirement.values.begin(), requirement.values.end()),
                             requirement.values.end());
    selector.match_expressions.push_back(std::move(requirement));
  }
  return selector;
}

Protocol decode_protocol(const Field& field) {
  if (field.text() == "UDP") return Protocol::kUdp;
  return field.text() == "SCTP" ? Protocol::kSctp : Protocol::kTcp;
}

IntOrString decode_port(const Field& field) {
  IntOrString port;
  if (field.value().is_string()) {
    port.name = field.text();
    if (auto wrong = check_port_name(port.name)) {
      std::string hint = parse_number<int>(port.name) ? "; write a number without quotes" : "";
      field.error(quoted(port.name) + ": " + *wrong + hint);
    }
  } else if (field.maybe_integer()) {  // other types have been reported
    port.number = field.number();
    if (port.number < 1 || port.number > 65535)
      field.error(std::to_string(port.number) + " is out of range, expected 1 to 65535");
  }
  return port;
}

}  // namespace sallyport::k8s
