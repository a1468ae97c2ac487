#include "world/service_endpoints.h"

#include <gtest/gtest.h>

#include "world/test_world.h"

namespace sallyport::world {
namespace {

class ServiceEndpointsTest : public ::testing::Test {
 protected:
  // "IP:PORT IP:PORT" of the Service's first port.
  std::string endpoints(Family family = Family::kV4) {
    world_.finish();
    std::string text;
    for (const ServiceEndpoint& each :
         service_endpoints(world_, *service_, service_->ports[0], family))
      text += (text.empty() ? "" : " ") + each.ip.to_string() + ":" + std::to_string(each.port);
    return text;
  }
  world::Endpoint& add(const char* ns, const char* name, const char* v4, const char* v6 = "") {
    world_.endpoints.push_back(make_pod(ns, name, v4, v6));
    return world_.endpoints.back();
  }
  world::World world_;
  std::shared_ptr<k8s::Service> service_ = make_service("shop", "web");
};

TEST_F(ServiceEndpointsTest, AreTheReadyPodsOfTheNamespaceThatTheSelectorNames) {
  add("shop", "b", "198.18.0.2");
  add("shop", "a", "198.18.0.1");
  add("shop", "other", "198.18.0.3").labels = {{"app", "db"}};
  add("shop", "unlabelled", "198.18.0.4").labels = {};
  add("shop", "unready", "198.18.0.5").ready = false;
  add("shop", "ended", "198.18.0.6").terminated = true;
  add("shop", "ending", "198.18.0.7").terminating = true;
  add("shop2", "elsewhere", "198.18.0.8");
  add("sho", "elsewhere", "198.18.0.9");
  EXPECT_EQ(endpoints(), "198.18.0.1:8080 198.18.0.2:8080");
  EXPECT_EQ(endpoints(Family::kV6), "");
  service_->publish_not_ready = true;
  EXPECT_EQ(endpoints(), "198.18.0.1:8080 198.18.0.2:8080 198.18.0.5:8080");
  service_->selector = {{"app", "web"}, {"tier", "front"}};
  EXPECT_EQ(endpoints(), "") << "every label of the selector counts";
}

TEST_F(ServiceEndpointsTest, WithoutASelectorThereAreNone) {
  add("shop", "a", "198.18.0.1");
  service_->selector = {};
  EXPECT_EQ(endpoints(), "");
}

TEST_F(ServiceEndpointsTest, FamiliesAreApart) {
  add("shop", "a", "198.18.0.1", "fd00:5a11::1");
  add("shop", "b", "", "fd00:5a11::2");
  EXPECT_EQ(endpoints(), "198.18.0.1:8080");
  EXPECT_EQ(endpoints(Family::kV6), "fd00:5a11::1:8080 fd00:5a11::2:8080");
}

TEST_F(ServiceEndpointsTest, ANamedPortIsEachPodsOwn) {
  add("shop", "a", "198.18.0.1").ports = {{"http", 8080, k8s::Protocol::kTcp}};
  add("shop", "b", "198.18.0.2").ports = {{"metrics", 9090, k8s::Protocol::kTcp},
                                          {"http", 9000, k8s::Protocol::kTcp}};
  add("shop", "c", "198.18.0.3").ports = {{"http", 5353, k8s::Protocol::kUdp}};
  add("shop", "d", "198.18.0.4");
  service_->ports[0].target_port = {0, "http"};
  EXPECT_EQ(endpoints(), "198.18.0.1:8080 198.18.0.2:9000");
  service_->ports[0].protocol = k8s::Protocol::kUdp;
  EXPECT_EQ(endpoints(), "198.18.0.3:5353");
}

TEST_F(ServiceEndpointsTest, AMissingTargetPortIsTheServicesOwn) {
  add("shop", "a", "198.18.0.1");
  service_->ports[0].target_port = {};
  EXPECT_EQ(endpoints(), "198.18.0.1:80");
  service_->ports[0].target_port = {70000, ""};
  EXPECT_EQ(endpoints(), "") << "no such port";
}

}  // namespace
}  // namespace sallyport::world
