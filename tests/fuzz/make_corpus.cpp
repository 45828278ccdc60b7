// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// Writes the seeds that the fuzzers begin with: make_corpus DIRECTORY makes DIRECTORY/{messages,codec,journals,leases}/.
#include "checkpoint/frames.hpp"
#include "checkpoint/key.hpp"
#include "types.hpp"
#include "wire/messages.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace wire = rankview::wire;
using rankview::detail::codec;
using rankview::detail::Writer;

namespace {

std::filesystem::path directory;

void put(const std::string& name, const std::string& head, std::span<const std::byte> bytes) {
  std::ofstream file(directory / name, std::ios::binary);
  file << head;
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) {
    std::fprintf(stderr, "cannot write %s\n", (directory / name).c_str());
    std::exit(1);
  }
}

void messages() {
  const std::vector<std::byte> items(24, std::byte{7});
  Writer sized;
  for (const char* const text : {"a", "", "ccc"}) sized.text(text);
  Writer failure;
  wire::write(failure, wire::Failure{wire::FailureKind::name, "rankview::NameError", "no variable"});

  Writer all;
  const auto record = [&all](const std::string& name, auto write) {
    Writer out;
    write(out);
    put(name, "", out.bytes.bytes());
    write(all);
  };
  record("batch_stride", [&](Writer& out) {
    wire::write(out, wire::Batch{{1, 2}, {1, 3}, 4, 1, 100, 3, 8, items, 0, 0, 0, 0, {1, 4}, 5, 1, 1, 1});
  });
  record("batch_sized", [&](Writer& out) {
    wire::write(out, wire::Batch{.thunk = {1, 2}, .function = {}, .call = 5, .count = 3, .items = sized.bytes.bytes()});
  });
  record("callable_state", [&](Writer& out) { wire::write(out, wire::CallableState{3, items}); });
  record("drop_callable", [](Writer& out) { wire::write(out, wire::DropCallable{77}); });
  record("stop", [](Writer& out) { wire::write(out, wire::Stop{3, 4, 5}); });
  record("join", [](Writer& out) { wire::write(out, wire::Join{3, {0, 2, 1}}); });
  record("assemble", [](Writer& out) { wire::write(out, wire::Assemble{3, 5}); });
  record("disband", [](Writer& out) { wire::write(out, wire::Disband{3}); });
  record("lost", [](Writer& out) { wire::write(out, wire::Lost{2}); });
  record("team_ready", [](Writer& out) { wire::write(out, wire::TeamReady{3}); });
  record("memory", [](Writer& out) { wire::write(out, wire::Memory{4, 4096}); });
  record("published", [&](Writer& out) { wire::write(out, wire::Published{3, 4, "loss", "d", items}); });
  record("printed", [&](Writer& out) { wire::write(out, wire::Printed{3, 4, items, std::span(items).first(5)}); });
  record("recall", [](Writer& out) { wire::write(out, wire::Recall{{{5, 6, 7, 0}, {8, 9, 10, 1}}}); });
  record("returned", [](Writer& out) { wire::write(out, wire::Returned{{{5, 6, 7, 0}}}); });
  record("overdue", [](Writer& out) { wire::write(out, wire::Overdue{5, 6}); });
  record("subtask", [&](Writer& out) { wire::write(out, wire::Subtask{1, {1, 2}, {3, 4}, 5, 6, 0, items, items}); });
  record("subtask_result", [&](Writer& out) { wire::write(out, wire::SubtaskResult{1, 1, failure.bytes.bytes()}); });
  record("batch_awaits", [&](Writer& out) {
    wire::write(out, wire::Batch{.thunk = {1, 2},
                                 .function = {},
                                 .call = 5,
                                 .count = 3,
                                 .items = sized.bytes.bytes(),
                                 .awaits = true,
                                 .first_ticket = 7,
                                 .holders = {0, 1}});
  });
  record("forward", [](Writer& out) { wire::write(out, wire::Forward{9, 7, 3}); });
  record("delivery", [&](Writer& out) { wire::write(out, wire::Delivery{7, 1, items}); });
  record("suspended", [](Writer& out) { wire::write(out, wire::Suspended{3}); });
  record("end", [](Writer& out) { wire::write(out, wire::End{wire::Ending::failed, 3, "because"}); });
  record("results", [&](Writer& out) {
    wire::ResultsWriter results(out);
    results.add(5, 7, 1000, 2000, false, items);
    results.add(5, 8, 2000, 2500, true, failure.bytes.bytes());
  });
  record("bye", [](Writer& out) { wire::write(out, wire::Bye{}); });
  put("all", "", all.bytes.bytes());
}

template <std::size_t I>
void seed(const std::tuple_element_t<I, fuzz::Types>& value, const std::string& name) {
  Writer out;
  codec<std::tuple_element_t<I, fuzz::Types>>::save(out, value);
  std::string head{static_cast<char>(I), static_cast<char>(out.attachments.size())};
  for (const auto& attachment : out.attachments) {
    const std::size_t beyond = attachment.size - rankview::detail::attach_bytes;
    head += static_cast<char>(beyond % 256);
    head += static_cast<char>(beyond / 256);
  }
  put(std::to_string(I) + "_" + name, head, out.bytes.bytes());
}

void values() {
  const fuzz::Account account{"ann", {1.5, 2.5}, {"x", "yy"}, {{"day", {1, 2}}, {"week", {}}}, {{1, 2}, {3, 4}}};
  seed<0>(42, "int");
  seed<1>({1, 2, 3, 0}, "point");
  seed<2>("text", "string");
  seed<2>(std::string(40'000, 'x'), "string_attached");
  seed<3>({1, 2, 3}, "vector");
  seed<3>(std::vector<double>(5000), "vector_attached");
  seed<4>({{1, 2, 3, 0}, {4, 5, 6, 0}}, "points");
  seed<5>({"a", "", "ccc"}, "strings");
  seed<6>({true, false, true}, "bools");
  seed<7>({{1, 2}, {}, {3}}, "nested");
  seed<8>({{1, 2}, {3}}, "lists");
  seed<9>({"a", "b"}, "set");
  seed<10>({{"a", {1, 2}}, {"b", {}}}, "map");
  seed<10>({{"a", std::vector<double>(4096)}, {"b", std::vector<double>(4100)}}, "map_attached");
  seed<11>({{1, "one"}, {1, std::nullopt}}, "multimap");
  seed<12>({"a", 1, {{'x', 'y'}, {}}}, "tuple");
  seed<13>({1.5, u"wide"}, "pair");
  seed<14>({"a", "b", "c"}, "array");
  seed<15>(std::string("alternative"), "variant");
  seed<16>(std::make_unique<std::vector<std::string>>(2, "owned"), "unique");
  seed<16>(nullptr, "unique_null");
  seed<18>(account, "account");
  seed<19>({account, account}, "accounts");
  seed<20>({{1, account}}, "account_map");
}

void journals() {
  namespace checkpoint = rankview::checkpoint;
  const std::vector<std::byte> value(20, std::byte{7});
  rankview::detail::Buffer journal;
  checkpoint::write(journal, checkpoint::Origin{.host = "node1", .process = 17, .began = 1'700'000'000'000'000'000, .program = "sweep"});
  checkpoint::write(journal, 0, {"_Z5twicei", "2", "l", "twice(int)"});
  checkpoint::ResultFrames results;
  for (std::uint64_t i = 0; i < 3; ++i) results.add(journal, 0, {i, 5}, value);
  results.close(journal);
  checkpoint::write_failure(journal, 0, {7, 7}, "std::runtime_error: no", 3);
  put("journal", std::string(1, '\0'), journal.bytes());
  put("two", std::string(1, '\1'), journal.bytes());
  put("cut", std::string(1, '\0'), journal.bytes().first(journal.size() - 30));

  // What the frames of that say.
  Writer frames;
  const auto frame = [&frames](checkpoint::FrameKind kind, const Writer& payload) {
    const std::size_t size = payload.bytes.size();
    for (const std::size_t byte : {static_cast<std::size_t>(kind), std::size_t{0}, size % 256, size / 256})
      frames.value(static_cast<std::uint8_t>(byte));
    frames.raw(payload.bytes.data(), size);
  };
  Writer origin;
  origin.value(checkpoint::format_version);
  origin.text("node1");
  origin.value(std::uint64_t{17});
  origin.value(std::int64_t{1'700'000'000});
  origin.text("sweep");
  frame(checkpoint::FrameKind::begin, origin);
  Writer callable;
  callable.value(std::uint32_t{0});
  for (const char* const text : {"_Z5twicei", "2", "l", "twice(int)"}) callable.text(text);
  frame(checkpoint::FrameKind::function, callable);
  Writer finished;
  finished.value(std::uint32_t{0});
  finished.value(std::uint32_t{2});
  for (std::uint64_t i = 0; i < 2; ++i) {
    finished.value(checkpoint::Key{i, 5});
    finished.text("a value");
  }
  frame(checkpoint::FrameKind::results, finished);
  put("frames", std::string(1, '\2'), frames.bytes.bytes());
}

void leases() {
  const auto text = [](const std::string& name, const std::string& bytes) { put(name, bytes, {}); };
  text("nobody", "\n\005\015\001\022\007\013");
  text("left", "job-h3-3-3\nlease-256-4\nlease-7-2\nlease-7\njob-\n\n\005\015\377\001\042\062\207\013\033\016");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  for (const auto& [name, make] :
       {std::pair("messages", &messages), std::pair("codec", &values), std::pair("journals", &journals), std::pair("leases", &leases)}) {
    directory = std::filesystem::path(argv[1]) / name;
    std::filesystem::create_directories(directory);
    make();
  }
}
