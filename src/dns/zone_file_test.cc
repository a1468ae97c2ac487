#include <gtest/gtest.h>

#include "dns/server.h"

namespace sallyport::dns {
namespace {

Zone zone() {
  Zone zone;
  zone.addresses["web.ns.svc.cluster.local"] = {*Ip::parse("198.19.0.1"), *Ip::parse("fd00::1")};
  zone.services["_http._tcp.web.ns.svc.cluster.local"] = {{80, "web.ns.svc.cluster.local"},
                                                          {81, "web.ns.svc.cluster.local"}};
  zone.pointers["1.0.19.198.in-addr.arpa"] = "web.ns.svc.cluster.local";
  zone.index();
  return zone;
}

TEST(ZoneFile, WritesOneRecordALine) {
  EXPECT_EQ(write_zone(zone()),
            "sallyport-dns 1\n"
            "domain cluster.local\n"
            "address web.ns.svc.cluster.local 198.19.0.1 fd00::1\n"
            "service _http._tcp.web.ns.svc.cluster.local 80 web.ns.svc.cluster.local\n"
            "service _http._tcp.web.ns.svc.cluster.local 81 web.ns.svc.cluster.local\n"
            "pointer 1.0.19.198.in-addr.arpa web.ns.svc.cluster.local\n"
            "end 4\n");
}

TEST(ZoneFile, ReadsWhatItWrote) {
  const auto read = parse_zone(write_zone(zone()));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->domain, "cluster.local");
  EXPECT_EQ(read->addresses, zone().addresses);
  EXPECT_EQ(read->services, zone().services);
  EXPECT_EQ(read->pointers, zone().pointers);
  EXPECT_EQ(read->parents, zone().parents);
  EXPECT_TRUE(parse_zone(write_zone(Zone{})).has_value());
}

TEST(ZoneFile, NoPartIsTakenForTheWhole) {
  const std::string text = write_zone(zone());
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(parse_zone(std::string_view(text).substr(0, length)).has_value()) << length;
}

TEST(ZoneFile, ErrorsNameTheLine) {
  const std::string head = "sallyport-dns 1\ndomain cluster.local\n";
  const std::pair<std::string, std::string> cases[] = {
      {"", "line 1: expected \"sallyport-dns 1\""},
      {"sallyport-dns 2\n", "line 1: expected"},
      {"sallyport-dns 1\ndomain Cluster.local\n", "line 2: expected \"domain NAME\""},
      {head + "address a\n", "line 3: expected"},
      {head + "address A 198.18.0.1\n", "line 3: expected"},
      {head + "address a 198.18.0.256\n", "line 3:"},
      {head + "address a  198.18.0.1\n", "line 3:"},
      {head + "address a 198.18.0.1\naddress a 198.18.0.2\n", "line 4: the name a has a second"},
      {head + "service a 0 b\n", "line 3: \"0\" is no port"},
      {head + "service a 65536 b\n", "line 3: \"65536\" is no port"},
      {head + "service a 80 b c\n", "line 3: expected"},
      {head + "service a 80 .b\n", "line 3: \".b\" is no name"},
      {head + "pointer a b\npointer a c\n", "line 4: the name a has a second"},
      {head + "pointer a b\nend 2\n", "line 4: expected \"end 1\""},
      {head + "end 0\nx\n", "line 3: text follows the end"},
      {head + "\nend 0\n", "line 3: expected"},
      {head + "text a b\nend 0\n", "line 3: expected"},
      {head + "pointer a b\n", "line 4: the file ends here"},
  };
  for (const auto& [text, message] : cases) {
    const auto read = parse_zone(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_TRUE(read.error().message.starts_with(message)) << read.error().message;
  }
}

TEST(ZoneFile, Names) {
  for (const char* good : {"a", "a.b", "_http._tcp.x", "1-2.x", "a-"})
    EXPECT_TRUE(valid_name(good));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "A", "a b", "a\n", "\xc3\xa4", "a\\b", "*"})
    EXPECT_FALSE(valid_name(bad)) << bad;
  EXPECT_TRUE(valid_name(std::string(63, 'a')));
  EXPECT_FALSE(valid_name(std::string(64, 'a')));
  std::string name;
  while (name.size() < 253) name += "a.";
  name.resize(253);
  EXPECT_TRUE(valid_name(name));
  EXPECT_FALSE(valid_name("a." + name));
}

TEST(ZoneFile, ReverseNames) {
  EXPECT_EQ(reverse_name(*Ip::parse("198.18.3.4")), "4.3.18.198.in-addr.arpa");
  EXPECT_EQ(reverse_name(*Ip::parse("fd00::12")),
            "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa");
}

TEST(ZoneFile, IndexKnowsAllParents) {
  const Zone records = zone();
  for (const char* parent : {"local", "cluster.local", "svc.cluster.local", "ns.svc.cluster.local",
                             "_tcp.web.ns.svc.cluster.local", "arpa", "198.in-addr.arpa"})
    EXPECT_TRUE(records.parents.contains(parent)) << parent;
  EXPECT_FALSE(records.parents.contains("_http._tcp.web.ns.svc.cluster.local"));
}

}  // namespace
}  // namespace sallyport::dns
