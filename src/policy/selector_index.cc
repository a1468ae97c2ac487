#include "policy/selector_index.h"

#include <algorithm>

#include "k8s/selector.h"

namespace sallyport::policy {
namespace {

// Neither keys nor values of labels have this character.
std::string term(const std::string& key, const std::string& value) {
  return key + '\n' + value;
}

}  // namespace

void SelectorIndex::Bucket::add(uint32_t entry, const k8s::LabelSelector& selector) {
  if (!selector.match_labels.empty()) {
    const auto& [key, value] = *selector.match_labels.begin();
    by_label[term(key, value)].push_back(entry);
    return;
  }
  for (const k8s::LabelRequirement& requirement : selector.match_expressions) {
    if (requirement.op != k8s::LabelRequirement::Op::kIn) continue;
    // A pod has one of the values at most, so that it finds the entry once; a value written twice
    // must not list it twice.
    for (const std::string& value : requirement.values) {
      auto& list = by_label[term(requirement.key, value)];
      if (list.empty() || list.back() != entry) list.push_back(entry);
    }
    return;
  }
  rest.push_back(entry);
}

void SelectorIndex::add(uint32_t id, const PodSet& pods) {
  auto entry = static_cast<uint32_t>(entries_.size());
  entries_.push_back({id, pods.pod_selector});
  Bucket& bucket = pods.ns.empty() ? by_selector_[pods.namespace_selector] : by_namespace_[pods.ns];
  bucket.add(entry, pods.pod_selector);
}

void SelectorIndex::collect(const Bucket& bucket, const k8s::Labels& labels,
                            std::vector<uint32_t>& out) const {
  auto test = [&](uint32_t entry) {
    if (k8s::matches(entries_[entry].selector, labels)) out.push_back(entries_[entry].id);
  };
  for (uint32_t entry : bucket.rest) test(entry);
  if (bucket.by_label.empty()) return;
  for (const auto& [key, value] : labels) {
    auto found = bucket.by_label.find(term(key, value));
    if (found == bucket.by_label.end()) continue;
    for (uint32_t entry : found->second) test(entry);
  }
}

SelectorIndex::View SelectorIndex::in_namespace(const std::string& ns,
                                                const k8s::Labels& ns_labels) const {
  View view;
  if (auto found = by_namespace_.find(ns); found != by_namespace_.end())
    view.push_back(&found->second);
  for (const auto& [selector, bucket] : by_selector_)
    if (k8s::matches(selector, ns_labels)) view.push_back(&bucket);
  return view;
}

std::vector<uint32_t> SelectorIndex::match(const View& view, const k8s::Labels& labels) const {
  std::vector<uint32_t> out;
  for (const Bucket* bucket : view) collect(*bucket, labels, out);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace sallyport::policy
