// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/outbox.hpp"
#include "engine/result_cache.hpp"
#include "rooms.hpp"

#include <string>
#include <variant>

using namespace rankview::engine;
namespace wire = rankview::wire;

namespace {

unit::Writer value(const std::string& text) {
  unit::Writer out;
  out.raw(text.data(), text.size());
  return out;
}

// A result of so many bytes that lie elsewhere.
unit::Writer long_result(const std::shared_ptr<std::vector<std::byte>>& owner) {
  unit::Writer out = value("head");
  out.attachments.push_back({owner->data(), owner->size()});
  out.kept.push_back(owner);
  return out;
}

}  // namespace

TEST_CASE("results wait for company, and other records come between", "[outbox]") {
  unit::TestEndpoint endpoint;
  Outbox outbox;
  outbox.attach(endpoint);
  outbox.flush();
  CHECK(endpoint.sent.empty());
  unit::Writer a = value("a");
  outbox.add_result(5, 0, 100, 200, false, a);
  outbox.add_result(5, 1, 200, 300, false, a);
  CHECK(outbox.has_results());
  CHECK_FALSE(outbox.due(200 + Outbox::flush_after - 1));
  CHECK(outbox.due(200 + Outbox::flush_after));
  outbox.write(wire::Suspended{2});
  outbox.add_result(5, 2, 300, 400, true, a);
  CHECK(endpoint.sent.empty());
  outbox.flush();
  CHECK_FALSE(outbox.has_results());
  REQUIRE(endpoint.sent.size() == 1);
  unit::Reader in(unit::records_of(endpoint.sent[0].second));
  CHECK(std::get<wire::Results>(wire::read(in)).count == 2);
  CHECK(std::get<wire::Suspended>(wire::read(in)).items == 2);
  const auto last = std::get<wire::Results>(wire::read(in));
  CHECK(last.first == 2);
  CHECK(in.done());
}

TEST_CASE("what is long leaves at once, behind what waits", "[outbox]") {
  unit::TestEndpoint endpoint;
  Outbox outbox;
  outbox.attach(endpoint);
  unit::Writer a = value("a");
  outbox.add_result(5, 0, 100, 200, false, a);
  const auto owner = std::make_shared<std::vector<std::byte>>(100);
  unit::Writer attached = long_result(owner);
  outbox.add_result(5, 1, 200, 300, false, attached);
  REQUIRE(endpoint.sent.size() == 2);
  CHECK(endpoint.sent[0].second.attachments.empty());
  CHECK(endpoint.sent[1].second.attachments.size() == 1);
  CHECK(attached.attachments.empty());
  unit::Writer much = value(std::string(Outbox::flush_bytes, 'x'));
  outbox.add_result(6, 0, 1, 2, false, much);
  CHECK(endpoint.sent.size() == 3);
}

TEST_CASE("the oldest long results make room for new ones", "[outbox]") {
  constexpr std::size_t mib = std::size_t{1} << 20;
  ResultCache cache;
  const auto owner = std::make_shared<std::vector<std::byte>>(50 * mib);
  const std::type_info& type = typeid(std::vector<std::byte>);
  CHECK(cache.add(1, long_result(owner), &type).empty());
  CHECK(cache.add(2, long_result(owner), &type).empty());
  REQUIRE(cache.find(1) != nullptr);
  CHECK(cache.find(1)->value == owner);
  const auto evicted = cache.add(3, long_result(owner), &type);
  REQUIRE(evicted.size() == 1);
  CHECK(evicted[0].call == 1);
  CHECK(cache.find(1) == nullptr);
  CHECK(cache.find(3) != nullptr);
  // What is short, has no owner, or is of no known type is not kept.
  CHECK(cache.add(4, value("short"), &type).empty());
  CHECK(cache.find(4) == nullptr);
  CHECK(cache.add(5, long_result(owner), nullptr).empty());
  CHECK(cache.find(5) == nullptr);
  CHECK(cache.clear().size() == 2);
  CHECK(cache.find(3) == nullptr);
}
