#include "k8s/schema.h"

#include <algorithm>
#include <map>

namespace sallyport::k8s {
namespace {

struct Index {
  std::vector<const TypeSchema*> types;
  std::map<std::string_view, const TypeSchema*> by_name;

  Index() {
    for (auto group :
         {meta_types(), pod_types(), container_types(), volume_types(), scheduling_types(),
          workload_types(), service_types(), policy_types(), istio_types()})
      for (const TypeSchema& type : group) {
        types.push_back(&type);
        by_name.emplace(type.name, &type);
      }
  }
};

const Index& index() {
  static const Index kIndex;
  return kIndex;
}

}  // namespace

const FieldSchema* TypeSchema::find(std::string_view field) const {
  auto found = std::find_if(fields.begin(), fields.end(),
                            [&](const FieldSchema& f) { return f.name == field; });
  return found == fields.end() ? nullptr : &*found;
}

TypeRef parse_type(std::string_view expression) {
  TypeRef ref;
  if (expression.ends_with('!')) {
    ref.required = true;
    expression.remove_suffix(1);
  }
  if (expression.starts_with("[]")) {
    ref.shape = TypeRef::Shape::kList;
    expression.remove_prefix(2);
  } else if (expression.starts_with("map[]")) {
    ref.shape = TypeRef::Shape::kMap;
    expression.remove_prefix(5);
  }
  ref.element = expression;
  return ref;
}

const TypeSchema* find_type(std::string_view name) {
  auto found = index().by_name.find(name);
  return found == index().by_name.end() ? nullptr : found->second;
}

std::span<const TypeSchema* const> all_types() {
  return index().types;
}

}  // namespace sallyport::k8s
