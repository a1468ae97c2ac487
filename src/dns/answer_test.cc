#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "dns/message.h"
#include "dns/server.h"
#include "dns/test_packets.h"

namespace sallyport::dns {
namespace {

using test::Answer;
using test::Ask;
using test::Packet;
using test::query;

constexpr char kWeb[] = "web.shop.svc.cluster.local";

Zone zone() {
  Zone zone;
  zone.addresses[kWeb] = {*Ip::parse("198.19.0.10"), *Ip::parse("fd00:1::10")};
  zone.addresses["db-0.db.data.svc.cluster.local"] = {*Ip::parse("198.18.0.7")};
  zone.services["_http._tcp.web.shop.svc.cluster.local"] = {{80, kWeb}};
  zone.pointers["10.0.19.198.in-addr.arpa"] = kWeb;
  for (int i = 1; i <= 100; ++i)
    zone.addresses["many.shop.svc.cluster.local"].push_back(Ip::v4(0xc6120000U + i));
  for (int i = 0; i < 20; ++i) {
    const std::string target = "pod-" + std::to_string(i) + ".peers.shop.svc.cluster.local";
    zone.services["_p._udp.peers.shop.svc.cluster.local"].push_back({9000, target});
    zone.addresses[target] = {Ip::v4(0xc6130000U + static_cast<uint32_t>(i))};
  }
  zone.index();
  return zone;
}

Answer ask(std::string_view name, int type, Ask how = {}, size_t max_size = kUdpSize) {
  const Zone records = zone();
  return Answer(answer(records, query(name, type, how), max_size));
}

TEST(DnsAnswer, Addresses) {
  Answer a = ask(kWeb, kA);
  ASSERT_TRUE(a.valid);
  EXPECT_EQ(a.id, 0x1234);
  EXPECT_EQ(a.flags, 0x8500);  // QR, AA, RD
  EXPECT_EQ(a.question, kWeb);
  ASSERT_EQ(a.answers.size(), 1u);
  EXPECT_EQ(a.answers[0].name, kWeb);
  EXPECT_EQ(a.answers[0].type, kA);
  EXPECT_EQ(a.answers[0].klass, 1);
  EXPECT_EQ(a.answers[0].ttl, 5u);
  EXPECT_EQ(a.answers[0].data, (Packet{198, 19, 0, 10}));
  EXPECT_TRUE(a.additional.empty());

  Answer aaaa = ask(kWeb, kAaaa);
  ASSERT_EQ(aaaa.answers.size(), 1u);
  EXPECT_EQ(aaaa.answers[0].data.size(), 16u);
  EXPECT_EQ(aaaa.answers[0].data[0], 0xfd);
  EXPECT_EQ(aaaa.answers[0].data[15], 0x10);
}

TEST(DnsAnswer, CaseOfTheQuestionIsKept) {
  Answer a = ask("wEb.ShOp.SVC.cLuStEr.LoCaL", kA);
  ASSERT_TRUE(a.valid);
  EXPECT_EQ(a.question, "wEb.ShOp.SVC.cLuStEr.LoCaL");
  ASSERT_EQ(a.answers.size(), 1u);
  EXPECT_EQ(a.answers[0].name, "wEb.ShOp.SVC.cLuStEr.LoCaL");
}

TEST(DnsAnswer, NoDataAndNoSuchName) {
  // The name exists, the type does not.
  Answer nodata = ask("db-0.db.data.svc.cluster.local", kAaaa);
  ASSERT_TRUE(nodata.valid);
  EXPECT_EQ(nodata.rcode(), 0);
  EXPECT_TRUE(nodata.answers.empty());
  ASSERT_EQ(nodata.authority.size(), 1u);
  EXPECT_EQ(nodata.authority[0].type, kSoa);
  EXPECT_EQ(nodata.authority[0].name, "cluster.local");
  EXPECT_EQ(ask(kWeb, 16).rcode(), 0);
  // Names above others exist too.
  for (const char* parent : {"cluster.local", "svc.cluster.local", "data.svc.cluster.local",
                             "db.data.svc.cluster.local", "_tcp.web.shop.svc.cluster.local"}) {
    EXPECT_EQ(ask(parent, kA).rcode(), 0) << parent;
    EXPECT_EQ(ask(parent, kA).authority.size(), 1u) << parent;
  }
  for (const char* gone : {"no.shop.svc.cluster.local", "x.web.shop.svc.cluster.local",
                           "b-0.db.data.svc.cluster.local", "vc.cluster.local"}) {
    Answer none = ask(gone, kA);
    ASSERT_TRUE(none.valid);
    EXPECT_EQ(none.rcode(), 3) << gone;
    EXPECT_TRUE(none.authoritative());
    ASSERT_EQ(none.authority.size(), 1u);
    EXPECT_EQ(none.authority[0].type, kSoa);
    EXPECT_EQ(none.authority[0].ttl, 5u);
  }
}

TEST(DnsAnswer, OtherDomainsDoNotExist) {
  for (const char* name : {"example.com", "xcluster.local", "", "kubernetes"}) {
    Answer a = ask(name, kA);
    ASSERT_TRUE(a.valid);
    EXPECT_EQ(a.rcode(), 3) << name;
    EXPECT_FALSE(a.authoritative()) << name;
    EXPECT_TRUE(a.authority.empty());
  }
}

TEST(DnsAnswer, DotsInsideALabelAreNoBorders) {
  // One label "web.shop" followed by the rest is another name than kWeb.
  Packet packet = query("x.svc.cluster.local", kA);
  packet.erase(packet.begin() + 12, packet.begin() + 14);
  const std::string label = "\x08web.shop";
  packet.insert(packet.begin() + 12, label.begin(), label.end());
  const Zone records = zone();
  EXPECT_EQ(Answer(answer(records, packet, kUdpSize)).rcode(), 3);
}

TEST(DnsAnswer, Pointers) {
  Answer a = ask("10.0.19.198.in-addr.ARPA", kPtr);
  ASSERT_EQ(a.answers.size(), 1u);
  EXPECT_EQ(a.answers[0].type, kPtr);
  EXPECT_EQ(a.name_at(a.answers[0].data_offset), kWeb);
  EXPECT_EQ(ask("10.0.19.198.in-addr.arpa", kA).rcode(), 0);
  EXPECT_EQ(ask("11.0.19.198.in-addr.arpa", kPtr).rcode(), 3);
  EXPECT_EQ(ask("0.19.198.in-addr.arpa", kPtr).rcode(), 0);
}

TEST(DnsAnswer, ServicesWithTheAddressesOfTheirTargets) {
  Answer a = ask("_http._tcp.web.shop.svc.cluster.local", kSrv);
  ASSERT_TRUE(a.valid);
  ASSERT_EQ(a.answers.size(), 1u);
  EXPECT_EQ(Packet(a.answers[0].data.begin(), a.answers[0].data.begin() + 6),
            (Packet{0, 0, 0, 100, 0, 80}));
  // The target is not compressed.
  EXPECT_EQ(Packet(a.answers[0].data.begin() + 6, a.answers[0].data.end()), test::wire_name(kWeb));
  ASSERT_EQ(a.additional.size(), 2u);
  EXPECT_EQ(a.additional[0].name, kWeb);
  EXPECT_EQ(a.additional[0].type, kA);
  EXPECT_EQ(a.additional[1].type, kAaaa);
}

TEST(DnsAnswer, WhatDoesNotFitADatagramIsTruncated) {
  Answer plain = ask("many.shop.svc.cluster.local", kA);
  ASSERT_TRUE(plain.valid);
  EXPECT_TRUE(plain.truncated());
  EXPECT_LE(plain.packet.size(), 512u);
  EXPECT_GT(plain.answers.size(), 20u);

  Ask edns;
  edns.edns_size = 1000;
  Answer larger = ask("many.shop.svc.cluster.local", kA, edns);
  EXPECT_TRUE(larger.truncated());
  EXPECT_LE(larger.packet.size(), 1000u);
  EXPECT_GT(larger.packet.size(), 900u);

  // The client's offer does not lift the server's own limit, and a silly one is read as 512.
  edns.edns_size = 65535;
  Answer huge = ask("many.shop.svc.cluster.local", kA, edns);
  EXPECT_TRUE(huge.truncated());
  EXPECT_LE(huge.packet.size(), kUdpSize);
  EXPECT_GT(huge.packet.size(), 1100u);
  edns.edns_size = 0;
  EXPECT_GT(ask("many.shop.svc.cluster.local", kA, edns).packet.size(), 450u);

  Answer stream = ask("many.shop.svc.cluster.local", kA, {}, kTcpSize);
  EXPECT_FALSE(stream.truncated());
  EXPECT_EQ(stream.answers.size(), 100u);
}

TEST(DnsAnswer, MissingAdditionalRecordsAreNoTruncation) {
  Ask edns;
  edns.edns_size = 1232;
  Answer a = ask("_p._udp.peers.shop.svc.cluster.local", kSrv, edns);
  ASSERT_TRUE(a.valid);
  EXPECT_FALSE(a.truncated());
  EXPECT_EQ(a.answers.size(), 20u);
  EXPECT_LT(a.additional.size(), 21u);
  EXPECT_EQ(a.additional.back().type, kOpt);
  Answer all = ask("_p._udp.peers.shop.svc.cluster.local", kSrv, edns, kTcpSize);
  EXPECT_EQ(all.additional.size(), 21u);
  std::set<std::string> names;
  for (const auto& record : all.additional)
    if (record.type == kA) names.insert(record.name);
  EXPECT_EQ(names.size(), 20u);
  EXPECT_TRUE(names.contains("pod-13.peers.shop.svc.cluster.local"));
}

TEST(DnsAnswer, OrderTurnsWithTheId) {
  std::set<Packet> first;
  for (int id = 0; id < 100; ++id) {
    Ask how;
    how.id = id;
    first.insert(ask("many.shop.svc.cluster.local", kA, how).answers[0].data);
  }
  EXPECT_EQ(first.size(), 100u);
}

TEST(DnsAnswer, Edns) {
  Ask edns;
  edns.edns_size = 4096;
  edns.dnssec_ok = true;
  Answer a = ask(kWeb, kA, edns);
  ASSERT_TRUE(a.valid);
  ASSERT_EQ(a.additional.size(), 1u);
  EXPECT_EQ(a.additional[0].name, "");
  EXPECT_EQ(a.additional[0].type, kOpt);
  EXPECT_EQ(a.additional[0].klass, 1232);
  EXPECT_EQ(a.additional[0].ttl, 0x8000u);
  edns.edns_version = 1;
  Answer bad = ask(kWeb, kA, edns);
  EXPECT_EQ(bad.rcode(), 0);
  ASSERT_EQ(bad.additional.size(), 1u);
  EXPECT_EQ(bad.additional[0].ttl >> 24, 1u);  // BADVERS is 16
  EXPECT_TRUE(bad.answers.empty());
}

TEST(DnsAnswer, RefusedQuestions) {
  EXPECT_EQ(ask(kWeb, kAny).rcode(), 5);
  EXPECT_EQ(ask("cluster.local", kAxfr).rcode(), 5);
  EXPECT_EQ(ask("cluster.local", kIxfr).rcode(), 5);
  EXPECT_EQ(ask(kWeb, kOpt).rcode(), 1);
  for (const int klass : {3, 4, 254, 255}) {
    Ask how;
    how.klass = klass;
    Answer a = ask(kWeb, kA, how);
    EXPECT_EQ(a.rcode(), 5) << klass;
    EXPECT_TRUE(a.answers.empty());
  }
}

TEST(DnsAnswer, TheZonesOwnRecords) {
  Answer soa = ask("cluster.local", kSoa);
  ASSERT_EQ(soa.answers.size(), 1u);
  EXPECT_EQ(soa.name_at(soa.answers[0].data_offset), "ns.dns.cluster.local");
  Answer ns = ask("cluster.local", kNs);
  ASSERT_EQ(ns.answers.size(), 1u);
  EXPECT_EQ(ns.name_at(ns.answers[0].data_offset), "ns.dns.cluster.local");
  EXPECT_TRUE(ask(kWeb, kSoa).answers.empty());
  EXPECT_EQ(ask(kWeb, kSoa).authority.size(), 1u);
}

TEST(DnsAnswer, OpcodesAndAnswersFromOthers) {
  Ask how;
  how.flags = 2 << 11;  // STATUS
  Answer a = ask(kWeb, kA, how);
  ASSERT_TRUE(a.valid);
  EXPECT_EQ(a.rcode(), 4);
  EXPECT_EQ(a.flags >> 11 & 0xf, 2);
  how.flags = 0x8000;  // itself an answer: none is sent, or two servers could talk forever
  const Zone records = zone();
  EXPECT_TRUE(answer(records, query(kWeb, kA, how), kUdpSize).empty());
}

TEST(DnsAnswer, MalformedPackets) {
  const Zone records = zone();
  const Packet good = query(kWeb, kA, {.edns_size = 1232});
  EXPECT_TRUE(answer(records, {}, kUdpSize).empty());
  EXPECT_TRUE(answer(records, std::span(good).first(11), kUdpSize).empty());
  for (size_t length = 12; length < good.size(); ++length) {
    Answer a(answer(records, std::span(good).first(length), kUdpSize));
    ASSERT_TRUE(a.valid) << length;
    EXPECT_EQ(a.rcode(), 1) << length;
    EXPECT_EQ(a.id, 0x1234);
    EXPECT_EQ(a.packet.size(), 12u);
  }
  auto changed = [&](size_t at, std::initializer_list<int> bytes) {
    Packet packet = good;
    for (const int value : bytes) packet[at++] = static_cast<uint8_t>(value);
    return Answer(answer(records, packet, kUdpSize)).rcode();
  };
  EXPECT_EQ(changed(4, {0, 0}), 1);        // no question
  EXPECT_EQ(changed(4, {0, 2}), 1);        // two
  EXPECT_EQ(changed(6, {0xff, 0xff}), 1);  // records that are not there
  EXPECT_EQ(changed(10, {0xff, 0xff}), 1);
  EXPECT_EQ(changed(12, {0xc0, 0x0c}), 1);       // a pointer to itself
  EXPECT_EQ(changed(12, {0xc0, 0x00}), 1);       // one into the header
  EXPECT_EQ(changed(12, {0x40}), 1);             // a label type that nobody uses
  EXPECT_EQ(changed(6, {0, 1, 0, 0, 0, 0}), 1);  // OPT among the answers
  Packet longer = good;
  longer.push_back(0);
  EXPECT_EQ(Answer(answer(records, longer, kUdpSize)).rcode(), 1);
  Packet twice = good;
  twice.insert(twice.end(), good.end() - 11, good.end());
  twice[11] = 2;
  EXPECT_EQ(Answer(answer(records, twice, kUdpSize)).rcode(), 1);
}

TEST(DnsAnswer, LongestNames) {
  const std::string label(63, 'a');
  const std::string name = label + "." + label + "." + label + "." + std::string(61, 'b');
  EXPECT_EQ(ask(name, kA).rcode(), 3);
  EXPECT_EQ(ask(name, kA).question, name);
  EXPECT_EQ(ask(name + "c", kA).rcode(), 1);  // 256 bytes on the wire
}

TEST(DnsAnswer, RecordsBesideTheQuestionArePassedOver) {
  Packet packet = query(kWeb, kA);
  // An additional record with a compressed name (as with TSIG or a cookie's companions).
  packet[11] = 1;
  for (const int value : {0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, 0x78})
    packet.push_back(static_cast<uint8_t>(value));
  const Zone records = zone();
  Answer a(answer(records, packet, kUdpSize));
  EXPECT_EQ(a.rcode(), 0);
  EXPECT_EQ(a.answers.size(), 1u);
}

TEST(DnsAnswer, DamagedPacketsGiveSoundAnswersOrNone) {
  const Zone records = zone();
  std::mt19937 random(20260101);
  const Packet seeds[] = {query(kWeb, kA, {.edns_size = 1232}),
                          query("_p._udp.peers.shop.svc.cluster.local", kSrv),
                          query("10.0.19.198.in-addr.arpa", kPtr)};
  int answered = 0;
  for (int i = 0; i < 50'000; ++i) {
    Packet packet = seeds[random() % 3];
    for (uint32_t changes = random() % 4 + 1; changes > 0; --changes)
      packet[random() % packet.size()] = static_cast<uint8_t>(random());
    if (random() % 4 == 0) packet.resize(random() % (packet.size() + 1));
    const size_t limit = i % 2 == 0 ? kUdpSize : kTcpSize;
    const Packet reply = answer(records, packet, limit);
    if (reply.empty()) continue;
    ++answered;
    ASSERT_LE(reply.size(), limit);
    ASSERT_TRUE(Answer(reply).valid) << "packet " << i;
  }
  EXPECT_GT(answered, 10'000);
}

}  // namespace
}  // namespace sallyport::dns
