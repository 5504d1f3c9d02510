#include "agent/cgroup_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace tributary::agent {

void PrintTo(const CgroupOwner& owner, std::ostream* out) {
  *out << "container " << owner.container_id << " pod " << owner.pod_uid << " runtime " << owner.runtime << " unit "
       << owner.systemd_unit;
}

namespace {

const std::string kId = "c6a1e9ca1ab5bfbbb3aa3b9a3d4d3a1c3f33f8e4bb2e7dcd10a2a5a0c1a2b3c4";
const std::string kOther = "0f0e0d0c0b0a09080706050403020100ffeeddccbbaa99887766554433221100";
const std::string kUid = "7f0c0a4e-91f2-4b2e-8f0a-3c1d2e4f5a6b";
const std::string kUnderscored = "7f0c0a4e_91f2_4b2e_8f0a_3c1d2e4f5a6b";
const std::string kHash = "d4b7f1e2a3c4b5d6e7f8091a2b3c4d5e";  // a static pod's

struct Layout {
  const char* name;
  std::string path;
  CgroupOwner owner;
};

const Layout kLayouts[] = {
    // The kubelet's cgroupfs driver.
    {"cgroupfs, guaranteed", "/kubepods/pod" + kUid + "/" + kId, {kId, kUid, "", ""}},
    {"cgroupfs, burstable", "/kubepods/burstable/pod" + kUid + "/" + kId, {kId, kUid, "", ""}},
    {"cgroupfs, best effort", "/kubepods/besteffort/pod" + kUid + "/" + kId, {kId, kUid, "", ""}},
    {"cgroupfs, CRI-O", "/kubepods/burstable/pod" + kUid + "/crio-" + kId, {kId, kUid, "cri-o", ""}},
    // The kubelet's systemd driver.
    {"systemd, containerd",
     "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kUnderscored + ".slice/cri-containerd-" + kId +
         ".scope",
     {kId, kUid, "containerd", ""}},
    {"systemd, guaranteed",
     "/kubepods.slice/kubepods-pod" + kUnderscored + ".slice/cri-containerd-" + kId + ".scope",
     {kId, kUid, "containerd", ""}},
    {"systemd, CRI-O",
     "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + kUnderscored + ".slice/crio-" + kId +
         ".scope",
     {kId, kUid, "cri-o", ""}},
    {"systemd, Docker",
     "/kubepods.slice/kubepods-pod" + kUnderscored + ".slice/docker-" + kId + ".scope",
     {kId, kUid, "docker", ""}},
    {"systemd kubelet, containerd told nothing of it",
     "/system.slice/containerd.service/kubepods-burstable-pod" + kUnderscored + ".slice:cri-containerd:" + kId,
     {kId, kUid, "containerd", ""}},
    {"kubelet below its own slice",
     "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" +
         kUnderscored + ".slice/cri-containerd-" + kId + ".scope",
     {kId, kUid, "containerd", ""}},
    // Nodes that are containers.
    {"kind, cgroupfs", "/docker/" + kOther + "/kubelet/kubepods/burstable/pod" + kUid + "/" + kId, {kId, kUid, "", ""}},
    {"kind, systemd",
     "/system.slice/docker-" + kOther +
         ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
         "kubelet-kubepods-burstable-pod" +
         kUnderscored + ".slice/cri-containerd-" + kId + ".scope",
     {kId, kUid, "containerd", ""}},
    {"k3d",
     "/system.slice/docker-" + kOther + ".scope/kubepods/besteffort/pod" + kUid + "/" + kId,
     {kId, kUid, "", ""}},
    {"a process of a kind node, in no pod",
     "/docker/" + kOther + "/system.slice/kubelet.service",
     {kOther, "", "", ""}},
    // What containers make below themselves.
    {"CRI-O's own child",
     "/kubepods.slice/kubepods-pod" + kUnderscored + ".slice/crio-" + kId + ".scope/container",
     {kId, kUid, "cri-o", ""}},
    {"systemd in a container",
     "/kubepods.slice/kubepods-pod" + kUnderscored + ".slice/cri-containerd-" + kId +
         ".scope/system.slice/nginx.service",
     {kId, kUid, "containerd", ""}},
    {"Docker in a pod", "/kubepods/pod" + kUid + "/" + kId + "/docker/" + kOther, {kId, kUid, "", ""}},
    {"init of a container", "/system.slice/docker-" + kId + ".scope/init.scope", {kId, "", "docker", ""}},
    // Static pods.
    {"static, cgroupfs", "/kubepods/burstable/pod" + kHash + "/" + kId, {kId, kHash, "", ""}},
    {"static, systemd",
     "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kHash + ".slice/cri-containerd-" + kId +
         ".scope",
     {kId, kHash, "containerd", ""}},
    // What is named after a container and is none.
    {"CRI-O's monitor",
     "/kubepods.slice/kubepods-pod" + kUnderscored + ".slice/crio-conmon-" + kId + ".scope",
     {"", kUid, "", ""}},
    {"Podman's monitor",
     "/machine.slice/libpod-conmon-" + kId + ".scope",
     {"", "", "", "libpod-conmon-" + kId + ".scope"}},
    {"a mount unit", "/system.slice/var-lib-docker-containers-" + kId + "-mounts-shm.mount", {}},
    {"the pod's own slice", "/kubepods.slice/kubepods-pod" + kUnderscored + ".slice", {"", kUid, "", ""}},
    // Without Kubernetes.
    {"Docker, cgroupfs", "/docker/" + kId, {kId, "", "", ""}},
    {"Docker, systemd", "/system.slice/docker-" + kId + ".scope", {kId, "", "docker", ""}},
    {"Docker in Docker", "/docker/" + kOther + "/docker/" + kId, {kId, "", "", ""}},
    {"Podman", "/machine.slice/libpod-" + kId + ".scope/container", {kId, "", "podman", ""}},
    {"rootless Podman",
     "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope",
     {kId, "", "podman", ""}},
    {"ECS",
     "/ecs/0b69d5c0d655428db04c2f0d4c5e0a12/0b69d5c0d655428db04c2f0d4c5e0a12-2344564612",
     {"0b69d5c0d655428db04c2f0d4c5e0a12-2344564612", "", "", ""}},
    {"ECS, older", "/ecs/0b69d5c0d655428db04c2f0d4c5e0a12/" + kId, {kId, "", "", ""}},
    {"Kata's sandbox", "/kubepods/pod" + kUid + "/kata_" + kId, {kId, kUid, "", ""}},
    // The host itself.
    {"a service", "/system.slice/nginx.service", {"", "", "", "nginx.service"}},
    {"a service below which is more", "/system.slice/nginx.service/workers", {"", "", "", "nginx.service"}},
    {"a user's service",
     "/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service",
     {"", "", "", "shop.service"}},
    {"a login", "/user.slice/user-1000.slice/session-3.scope", {"", "", "", "session-3.scope"}},
    {"the init process", "/init.scope", {"", "", "", "init.scope"}},
    {"the root", "/", {}},
    {"nothing", "", {}},
    // Seen from within a cgroup namespace.
    {"above the namespace's root", "/../../pod" + kUid + "/" + kId, {kId, kUid, "", ""}},
    // Near misses.
    {"65 digits", "/docker/" + kId + "0", {}},
    {"63 digits", "/docker/" + kId.substr(1), {}},
    {"upper case", "/docker/C6A1E9CA1AB5BFBBB3AA3B9A3D4D3A1C3F33F8E4BB2E7DCD10A2A5A0C1A2B3C4", {}},
    {"a pod without a uid", "/kubepods/podcast/" + kId, {kId, "", "", ""}},
    {"a uid cut short", "/kubepods/pod" + kUid.substr(0, 35) + "/" + kId, {kId, "", "", ""}},
    {"a service named like a pod", "/system.slice/podman.service", {"", "", "", "podman.service"}},
};

TEST(CgroupPath, SaysWhoRunsThereInEveryLayout) {
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(layout.name);
    EXPECT_EQ(ParseCgroupPath(layout.path), layout.owner) << layout.path;
  }
}

}  // namespace
}  // namespace tributary::agent
