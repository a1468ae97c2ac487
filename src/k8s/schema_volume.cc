// Volume and its sources (core/v1).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kKinds = "the node offers configMap, secret and emptyDir";

constexpr FieldSchema kVolume[] = {
    {"awsElasticBlockStore", "object", Use::kRefused, kKinds},
    {"azureDisk", "object", Use::kRefused, kKinds},
    {"azureFile", "object", Use::kRefused, kKinds},
    {"cephfs", "object", Use::kRefused, kKinds},
    {"cinder", "object", Use::kRefused, kKinds},
    {"configMap", "ConfigMapVolumeSource"},
    {"csi", "object", Use::kRefused, kKinds},
    {"downwardAPI", "object", Use::kRefused, "use env with fieldRef"},
    {"emptyDir", "EmptyDirVolumeSource"},
    {"ephemeral", "object", Use::kRefused, kKinds},
    {"fc", "object", Use::kRefused, kKinds},
    {"flexVolume", "object", Use::kRefused, kKinds},
    {"flocker", "object", Use::kRefused, kKinds},
    {"gcePersistentDisk", "object", Use::kRefused, kKinds},
    {"gitRepo", "object", Use::kRefused, kKinds},
    {"glusterfs", "object", Use::kRefused, kKinds},
    {"hostPath", "HostPathVolumeSource", Use::kRefused, "it would give the pod files of the host"},
    {"image", "object", Use::kRefused, kKinds},
    {"iscsi", "object", Use::kRefused, kKinds},
    {"name", "dnsLabel!"},
    {"nfs", "object", Use::kRefused, kKinds},
    {"persistentVolumeClaim", "object", Use::kRefused, kKinds},
    {"photonPersistentDisk", "object", Use::kRefused, kKinds},
    {"portworxVolume", "object", Use::kRefused, kKinds},
    {"projected", "object", Use::kRefused, kKinds},
    {"quobyte", "object", Use::kRefused, kKinds},
    {"rbd", "object", Use::kRefused, kKinds},
    {"scaleIO", "object", Use::kRefused, kKinds},
    {"secret", "SecretVolumeSource"},
    {"storageos", "object", Use::kRefused, kKinds},
    {"vsphereVolume", "object", Use::kRefused, kKinds},
};

constexpr FieldSchema kConfigMapVolumeSource[] = {{"defaultMode", "fileMode"},
                                                  {"items", "[]KeyToPath"},
                                                  {"name", "dnsSubdomain!"},
                                                  {"optional", "bool"}};
constexpr FieldSchema kSecretVolumeSource[] = {{"defaultMode", "fileMode"},
                                               {"items", "[]KeyToPath"},
                                               {"optional", "bool"},
                                               {"secretName", "dnsSubdomain!"}};
constexpr FieldSchema kKeyToPath[] = {
    {"key", "configKey!"}, {"mode", "fileMode"}, {"path", "relativePath!"}};
constexpr FieldSchema kEmptyDirVolumeSource[] = {{"medium", "string"}, {"sizeLimit", "quantity"}};
constexpr FieldSchema kHostPathVolumeSource[] = {
    {"path", "string!"},
    {"type", "enum:DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice"}};

constexpr TypeSchema kTypes[] = {
    {"Volume", kVolume},
    {"ConfigMapVolumeSource", kConfigMapVolumeSource},
    {"SecretVolumeSource", kSecretVolumeSource},
    {"KeyToPath", kKeyToPath},
    {"EmptyDirVolumeSource", kEmptyDirVolumeSource},
    {"HostPathVolumeSource", kHostPathVolumeSource},
};

}  // namespace

std::span<const TypeSchema> volume_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
