// The gate's verdicts on real packets between namespaces.
#include <gtest/gtest.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "gate/kernel_fixture.h"
#include "gate/test_packets.h"
#include "net/netlink.h"
#include "net/netns.h"

namespace sallyport::gate {

namespace {

class KernelGate : public GateFixture {};

TEST_F(KernelGate, BeforeTheFirstPublicationPodsAreClosed) {
  for (const bool v6 : {false, true}) {
    EXPECT_FALSE(udp(lab.pods[0], lab.pods[1], 8080, v6).arrived);
    EXPECT_FALSE(udp(lab.outside, lab.pods[1], 8080, v6).arrived);
    EXPECT_FALSE(udp(lab.pods[0], lab.outside, 8080, v6).arrived);
    EXPECT_FALSE(tcp_to_node(lab.pods[0], Lab::kNodePort, v6));
  }
}

TEST_F(KernelGate, AllowsWhatPolicyAllowsAndNothingElse) {
  publish(one_way(lab));
  for (const bool v6 : {false, true}) {
    const auto good = udp(lab.pods[0], lab.pods[1], 8080, v6);
    EXPECT_TRUE(good.arrived && good.answered);
    EXPECT_TRUE(tcp(lab.pods[0], lab.pods[1], 8080, v6));
    EXPECT_FALSE(udp(lab.pods[0], lab.pods[1], 8081, v6).arrived);
    EXPECT_FALSE(tcp(lab.pods[0], lab.pods[1], 8081, v6));
    EXPECT_FALSE(udp(lab.pods[2], lab.pods[1], 8080, v6).arrived);
    EXPECT_FALSE(tcp(lab.pods[2], lab.pods[1], 8080, v6));
    EXPECT_FALSE(tcp(lab.outside, lab.pods[1], 8080, v6));
    EXPECT_TRUE(tcp(lab.outside, lab.pods[0], 8080, v6));
  }
  int allowed = 0, denied = 0;
  for (const auto& event : events()) {
    if (event.kind == FlowEvent::Kind::kNew && event.ingress_rule == 101) ++allowed;
    if (event.kind == FlowEvent::Kind::kDenied && event.ingress_rule == 100) {
      EXPECT_EQ(event.reason, SP_DENY_POLICY);
      EXPECT_EQ(event.destination_endpoint, 2u);
      EXPECT_FALSE(event.allow);
      ++denied;
    }
  }
  EXPECT_EQ(allowed, 2);
  EXPECT_GE(denied, 10);
  // Without the gate the same probes succeed: the denials were its.
  ASSERT_TRUE(gate->detach());
  for (const bool v6 : {false, true}) {
    EXPECT_TRUE(tcp(lab.pods[2], lab.pods[1], 8080, v6));
    EXPECT_TRUE(udp(lab.pods[0], lab.pods[1], 8081, v6).answered);
  }
  ASSERT_TRUE(gate->attach());
  EXPECT_FALSE(tcp(lab.pods[2], lab.pods[1], 8080, false));
}

TEST_F(KernelGate, DropsSpoofedSources) {
  publish(nobody_isolated(lab));
  const auto& liar = lab.pods[2];
  const auto& victim = lab.pods[1];
  // Who lies knows its neighbour already: a first packet would wait for address resolution.
  EXPECT_TRUE(udp(lab.outside, victim, 8080, false, 1000).answered);
  EXPECT_TRUE(udp(liar, victim, 8080, false, 1000).answered);
  EXPECT_TRUE(udp(liar, victim, 8080, true, 1000).answered);
  Udp server4(victim.netns.get(), victim.v4, 8080), server6(victim.netns.get(), victim.v6, 8080);
  send_raw(liar.netns.get(), victim.v4, udp_packet(lab.pods[0].v4, 1, victim.v4, 8080), "eth0");
  send_raw(liar.netns.get(), victim.v6, udp_packet(lab.pods[0].v6, 1, victim.v6, 8080), "eth0");
  send_raw(liar.netns.get(), victim.v4, udp_packet(lab.outside.v4, 1, victim.v4, 8080), "eth0");
  send_raw(lab.outside.netns.get(), victim.v4, udp_packet(lab.pods[0].v4, 1, victim.v4, 8080),
           "eth0");
  EXPECT_FALSE(server4.receive(150));
  EXPECT_FALSE(server6.receive(50));
  EXPECT_EQ(drops(SP_DENY_SPOOFED), 4u);
  // The same bytes pass with the true source.
  send_raw(liar.netns.get(), victim.v4, udp_packet(liar.v4, 1, victim.v4, 8080), "eth0");
  send_raw(liar.netns.get(), victim.v6, udp_packet(liar.v6, 1, victim.v6, 8080), "eth0");
  EXPECT_TRUE(server4.receive(1000));
  EXPECT_TRUE(server6.receive(1000));
  bool told = false;
  for (const auto& event : events())
    told = told || (event.reason == SP_DENY_SPOOFED && event.source == lab.pods[0].v4 &&
                    event.ifindex == liar.ifindex);
  EXPECT_TRUE(told);
}

TEST_F(KernelGate, AnAddressOfThePodRangeThatIsNotKnownIsDenied) {
  CompiledBuilder builder;  // pod 2 is wired and has its address, but nobody has told the gate
  for (const auto& pod : lab.pods)
    if (pod.id != 2) builder.endpoint(pod.id, {pod.v4, pod.v6}, 0, 0);
  ASSERT_TRUE(gate->publish(builder.get(), {{1, lab.pods[0].ifindex}, {3, lab.pods[2].ifindex}}));
  for (const bool v6 : {false, true}) {
    EXPECT_FALSE(udp(lab.pods[0], lab.pods[1], 8080, v6).arrived);
    EXPECT_FALSE(udp(lab.pods[1], lab.pods[0], 8080, v6).arrived);
    EXPECT_TRUE(udp(lab.pods[0], lab.pods[2], 8080, v6).answered);
  }
  EXPECT_GE(drops(SP_DENY_UNKNOWN_POD), 2u);
}

TEST_F(KernelGate, FragmentsAreJudgedAsTheWhole) {
  publish(one_way(lab));
  const std::string large(9000, 'x');
  for (const bool v6 : {false, true}) {
    const auto &a = lab.pods[0], &b = lab.pods[1], &c = lab.pods[2];
    Udp server(b.netns.get(), v6 ? b.v6 : b.v4, 8080);
    Udp other(b.netns.get(), v6 ? b.v6 : b.v4, 8081);
    Udp good(a.netns.get(), v6 ? a.v6 : a.v4, 0), bad(c.netns.get(), v6 ? c.v6 : c.v4, 0);
    bad.send(v6 ? b.v6 : b.v4, 8080, large);
    good.send(v6 ? b.v6 : b.v4, 8081, large);
    EXPECT_FALSE(server.receive(150));
    EXPECT_FALSE(other.receive(50));
    good.send(v6 ? b.v6 : b.v4, 8080, large);
    EXPECT_EQ(server.receive(1000), large);
  }
  // A last fragment alone never becomes a datagram, and never passes.
  const uint64_t before = drops(SP_DENY_FRAGMENT);
  IpOptions last;
  last.fragment = 100;
  send_raw(lab.pods[0].netns.get(), lab.pods[1].v4,
           ip_packet(lab.pods[0].v4, lab.pods[1].v4, 17, Bytes(64), last), "eth0");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(drops(SP_DENY_FRAGMENT), before);  // it waits for its siblings before the hook
}

TEST_F(KernelGate, HeadersWithOptionsAreReadThrough) {
  publish(one_way(lab));
  const auto &a = lab.pods[0], &b = lab.pods[1];
  Udp server4(b.netns.get(), b.v4, 8080), server6(b.netns.get(), b.v6, 8080);
  IpOptions nops;
  nops.options = {1, 1, 1, 1, 1, 1, 1, 0};
  send_raw(a.netns.get(), b.v4, udp_packet(a.v4, 1, b.v4, 8080, {'4'}, nops), "eth0");
  send_raw(a.netns.get(), b.v4, udp_packet(a.v4, 1, b.v4, 8081, {'4'}, nops), "eth0");
  IpOptions padded;  // destination options with padding, twice
  padded.first_next = 60;
  padded.extensions = {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0};
  send_raw(a.netns.get(), b.v6, udp_packet(a.v6, 1, b.v6, 8080, {'6'}, padded), "eth0");
  EXPECT_EQ(server4.receive(1000), "4");
  EXPECT_EQ(server6.receive(1000), "6");
  EXPECT_EQ(drops(SP_DENY_POLICY), 1u);
}

// This kernel may have no SCTP sockets; the gate judges the packets all the same.
TEST_F(KernelGate, SctpIsJudgedByItsOwnPorts) {
  CompiledBuilder builder;
  const auto ingress = builder.deny_set(policy::Direction::kIngress, 100);
  builder.allow(ingress, 1, 132, 9003, 9003, 101);
  for (const auto& pod : lab.pods)
    builder.endpoint(pod.id, {pod.v4, pod.v6}, 0, pod.id == 2 ? ingress : 0);
  publish(builder);
  const auto &a = lab.pods[0], &b = lab.pods[1];
  for (const bool v6 : {false, true}) {
    const Ip from = v6 ? a.v6 : a.v4, to = v6 ? b.v6 : b.v4;
    send_raw(a.netns.get(), to, sctp_packet(from, 5000, to, 9003), "eth0");
    send_raw(a.netns.get(), to, sctp_packet(from, 5000, to, 9004), "eth0");
    EXPECT_FALSE(tcp(a, b, 9003, v6));
  }
  int allowed = 0, denied = 0;
  for (int i = 0; i < 50 && allowed + denied < 4; ++i) {
    for (const auto& event : events()) {
      if (event.protocol != 132) continue;
      allowed += event.kind == FlowEvent::Kind::kNew && event.ingress_rule == 101 &&
                 event.destination_port == 9003;
      denied += event.kind == FlowEvent::Kind::kDenied && event.ingress_rule == 100 &&
                event.destination_port == 9004;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(allowed, 2);
  EXPECT_EQ(denied, 2);
}

// The path MTU of a flow: the error about its packet comes back through the gate, and the sender
// learns the smaller MTU from it.
TEST_F(KernelGate, RelatedErrorsReachTheSender) {
  publish(one_way(lab));
  const auto &a = lab.pods[0], &b = lab.pods[1];
  for (const bool v6 : {false, true}) {
    const Ip from = v6 ? a.v6 : a.v4, to = v6 ? b.v6 : b.v4;
    Udp client(a.netns.get(), from, 4100);
    const int find = IP_PMTUDISC_DO;
    if (v6)
      ::setsockopt(client.fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &find, sizeof(find));
    else
      ::setsockopt(client.fd(), IPPROTO_IP, IP_MTU_DISCOVER, &find, sizeof(find));
    const int on = 1;
    ::setsockopt(client.fd(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &on,
                 sizeof(on));
    Udp server(b.netns.get(), to, 8080);
    // No flow yet: the error is unrelated.
    const Bytes sent = udp_packet(from, 4100, to, 8080, Bytes(600));
    const Bytes error = icmp_error(to, from, v6 ? 2 : 3, v6 ? 0 : 4, sent, v6 ? 1300 : 1000);
    const uint64_t before = drops(SP_DENY_UNRELATED);
    send_raw(b.netns.get(), from, error, "eth0");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(drops(SP_DENY_UNRELATED), before + 1);
    client.send(to, 8080, "hello");
    ASSERT_TRUE(server.receive(1000));
    send_raw(b.netns.get(), from, error, "eth0");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(drops(SP_DENY_UNRELATED), before + 1);
    client.send(to, 8080, std::string(1400, 'x'));  // too large now: the kernel has learned it
    char text[16];
    char control[512];
    iovec vector{text, sizeof(text)};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    ASSERT_GE(::recvmsg(client.fd(), &message, MSG_ERRQUEUE | MSG_DONTWAIT), 0) << v6;
    const cmsghdr* c = CMSG_FIRSTHDR(&message);
    ASSERT_NE(c, nullptr);
    const auto* detail = reinterpret_cast<const sock_extended_err*>(CMSG_DATA(c));
    EXPECT_EQ(detail->ee_errno, static_cast<uint32_t>(EMSGSIZE));
    EXPECT_EQ(detail->ee_info, v6 ? 1300u : 1000u);
  }
}

// A pod whose neighbour entries are gone must find the node again, and the node the pod.
TEST_F(KernelGate, NeighbourDiscoveryPasses) {
  publish(nobody_isolated(lab));
  EXPECT_TRUE(udp(lab.pods[0], lab.pods[1], 8080, true).answered);
  for (const int netns : {lab.pods[0].netns.get(), lab.node.get()}) {
    // Taking the link down and up would lose the addresses; flushing is what ageing does.
    ASSERT_TRUE(net::in_netns(netns, [] {
      return std::system("ip neigh flush all >/dev/null 2>&1") == 0
                 ? Status{}
                 : fail(Code::kInternal, "ip neigh flush");
    }));
  }
  EXPECT_TRUE(udp(lab.pods[0], lab.pods[1], 8080, true, 2000).answered);
  EXPECT_TRUE(udp(lab.pods[1], lab.pods[0], 8080, true, 2000).answered);
  // A pod is no router.
  const auto& pod = lab.pods[2];
  IpOptions last;
  last.ttl = 255;
  send_raw(pod.netns.get(), lab.node6, icmp_packet(pod.v6, lab.node6, 134, 0, Bytes(12), last),
           "eth0");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(drops(SP_DENY_NEIGHBOUR), 1u);
}

TEST_F(KernelGate, ToTheNodeOnlyWhatItOffersAndEgressAllows) {
  CompiledBuilder builder;
  const auto egress = builder.deny_set(policy::Direction::kEgress, 700);
  for (const auto& pod : lab.pods)
    builder.endpoint(pod.id, {pod.v4, pod.v6}, pod.id == 3 ? egress : 0, 0);
  publish(builder);
  for (const bool v6 : {false, true}) {
    EXPECT_TRUE(tcp_to_node(lab.pods[0], Lab::kNodePort, v6));
    EXPECT_FALSE(tcp_to_node(lab.pods[0], 22, v6));
    EXPECT_FALSE(tcp_to_node(lab.pods[2], Lab::kNodePort, v6));
    EXPECT_TRUE(tcp_to_node(lab.outside, Lab::kNodePort, v6));
    EXPECT_FALSE(tcp_to_node(lab.outside, 22, v6));
    // From the node everything is allowed, as for a kubelet's probes; the answers come back.
    EXPECT_TRUE(probe_tcp(lab.node.get(), v6 ? lab.node6 : lab.node4, lab.pods[2].netns.get(),
                          v6 ? lab.pods[2].v6 : lab.pods[2].v4, 8080, 1000));
    EXPECT_TRUE(probe_udp(lab.node.get(), v6 ? lab.node6 : lab.node4, lab.pods[2].netns.get(),
                          v6 ? lab.pods[2].v6 : lab.pods[2].v4, 8080, 1000)
                    .answered);
    // The node to itself.
    EXPECT_TRUE(probe_tcp(lab.node.get(), v6 ? lab.node6 : lab.node4, lab.node.get(),
                          v6 ? lab.node6 : lab.node4, 4321, 1000));
  }
  int denied = 0;
  for (const auto& event : events())
    denied += event.local && event.egress_rule == 700 && event.kind == FlowEvent::Kind::kDenied;
  EXPECT_GE(denied, 2);
}

TEST_F(KernelGate, APolicyChangeStallsAndResumesALiveFlow) {
  publish(one_way(lab));
  const auto &a = lab.pods[0], &b = lab.pods[1];
  Udp client(a.netns.get(), a.v4, 4200), server(b.netns.get(), b.v4, 8080);
  const auto passes = [&](int timeout) {
    client.send(b.v4, 8080, "x");
    return server.receive(timeout).has_value();
  };
  ASSERT_TRUE(passes(1000));
  events();
  publish(closed(lab));
  EXPECT_FALSE(passes(100));
  server.send(a.v4, 4200, "answer");
  EXPECT_FALSE(client.receive(100));
  auto told = events();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].kind, FlowEvent::Kind::kRevoked);
  EXPECT_EQ(told[0].ingress_rule, 900u);
  publish(one_way(lab));
  EXPECT_TRUE(passes(1000));
  told = events();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].kind, FlowEvent::Kind::kNew);
}

TEST_F(KernelGate, DeniedPacketsOfATupleMakeOneEventASecond) {
  publish(closed(lab));
  const auto &a = lab.pods[0], &b = lab.pods[1];
  Udp client(a.netns.get(), a.v4, 4300);
  for (int i = 0; i < 50; ++i) client.send(b.v4, 8080, "x");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  auto told = events();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].repeats, 1u);
  std::this_thread::sleep_for(std::chrono::milliseconds(1800));
  told = events();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].repeats, 49u);
  EXPECT_EQ(told[0].ingress_rule, 900u);
  EXPECT_EQ(told[0].source_port, 4300);
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_TRUE(events().empty());
  const auto stats = gate->stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->drops.at(SP_DENY_POLICY), 50u);
  EXPECT_EQ(stats->rules.at(900).packets, 50u);
}

}  // namespace

}  // namespace sallyport::gate
