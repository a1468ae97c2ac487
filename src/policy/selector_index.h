// Finds, for one pod, the selectors that match it, without asking all of them: selectors are filed
// by namespace and by one label that they require.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "k8s/objects.h"

namespace sallyport::policy {

// A set of pods: of one namespace where `ns` is set, else of the namespaces that match.
struct PodSet {
  std::string ns;
  k8s::LabelSelector namespace_selector;  // only where `ns` is empty
  k8s::LabelSelector pod_selector;
  auto operator<=>(const PodSet&) const = default;
};

class SelectorIndex {
  struct Bucket;

 public:
  // The selectors that may concern the pods of one namespace. Valid until the next add().
  using View = std::vector<const Bucket*>;

  void add(uint32_t id, const PodSet& pods);
  [[nodiscard]] View in_namespace(const std::string& ns, const k8s::Labels& ns_labels) const;
  // The ids whose set has a pod with `labels` in the namespace of the view; sorted.
  [[nodiscard]] std::vector<uint32_t> match(const View& view, const k8s::Labels& labels) const;

 private:
  struct Entry {
    uint32_t id;
    k8s::LabelSelector selector;
  };
  // The selectors of one namespace or of one namespace selector.
  struct Bucket {
    std::unordered_map<std::string, std::vector<uint32_t>> by_label;  // "key=value" -> entries
    std::vector<uint32_t> rest;                                       // no label is required
    void add(uint32_t entry, const k8s::LabelSelector& selector);
  };
  void collect(const Bucket& bucket, const k8s::Labels& labels, std::vector<uint32_t>& out) const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, Bucket> by_namespace_;
  std::map<k8s::LabelSelector, Bucket> by_selector_;
};

}  // namespace sallyport::policy
