// The text formats of Kubernetes (apimachinery validation): each check gives nothing where the text
// fits, else what was expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::k8s {

using FormatError = std::optional<std::string>;

FormatError check_dns_label(std::string_view text);      // RFC 1123, at most 63 characters
FormatError check_dns1035_label(std::string_view text);  // RFC 1035: starts with a letter
FormatError check_dns_subdomain(std::string_view text);  // RFC 1123, at most 253 characters
FormatError check_label_key(std::string_view text);      // [PREFIX/]NAME
FormatError check_label_value(std::string_view text);
FormatError check_port_name(std::string_view text);      // IANA service name, at most 15
FormatError check_config_key(std::string_view text);     // of ConfigMap and Secret
FormatError check_env_name(std::string_view text);       // printable ASCII without "="
FormatError check_relative_path(std::string_view text);  // not absolute, no ".." part
FormatError check_absolute_path(std::string_view text);
FormatError check_header_name(std::string_view text);  // RFC 9110 token
FormatError check_rfc3339(std::string_view text);
// A time that check_rfc3339 accepts as "2026-01-02T03:04:05Z"; empty for one that it does not.
std::string normal_rfc3339(std::string_view text);
FormatError check_duration(std::string_view text);        // Go's: "5s", "1m30s"; more than zero
FormatError check_domain_pattern(std::string_view text);  // ClusterNetworkPolicy: *.example.com

// The name of `words` that is nearest to `text`, where one is near enough to be a slip.
std::string nearest_word(std::string_view text, const std::vector<std::string_view>& words);

}  // namespace sallyport::k8s
