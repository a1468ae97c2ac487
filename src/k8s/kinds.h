// Which kinds exist, where they live, and how each is decoded.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "k8s/field.h"
#include "k8s/objects.h"

namespace sallyport::k8s {

enum class NameForm { kSubdomain, kLabel, kLabel1035, kAny };

struct Kind {
  std::string_view api_version;
  std::string_view kind;
  std::string_view schema;  // its type table
  bool namespaced = true;
  NameForm name_form = NameForm::kSubdomain;
  // Decodes into the variant; the common part has been filled by the caller.
  AnyObject (*decode)(const Field& root, const Object& common) = nullptr;
};

// The kind, or an error text that names what was expected. Kinds of groups that are not known come
// back as an OtherObject.
std::expected<Kind, std::string> find_kind(std::string_view api_version, std::string_view kind);

}  // namespace sallyport::k8s
