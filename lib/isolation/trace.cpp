// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/trace.hpp"

#include "engine/type_name.hpp"
#include "isolation/symbols.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <sstream>
#include <vector>

namespace rankview::isolation {
namespace {

constexpr std::chrono::milliseconds names_limit{2000};
constexpr unsigned backtrace_limit = 2;  // seconds

// What is mapped where, line by line; nothing is allocated.
class Maps {
 public:
  Maps() : file_(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}
  Maps(const Maps&) = delete;
  Maps& operator=(const Maps&) = delete;
  ~Maps() {
    if (file_ >= 0) ::close(file_);
  }

  // False at the end. What is longer than fits is cut.
  bool next(std::string_view& line) {
    std::size_t size = 0;
    for (;;) {
      if (at_ == end_ && !fill()) return false;
      const char c = buffer_[at_++];
      if (c == '\n') break;
      if (size < line_.size()) line_[size++] = c;
    }
    line = {line_.data(), size};
    return true;
  }

 private:
  bool fill() {
    ssize_t got = 0;
    do {
      got = ::read(file_, buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    at_ = 0;
    end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    return got > 0;
  }

  int file_;
  std::array<char, 2048> buffer_{};
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::array<char, 2048> line_{};
};

// Takes the number at the front, and what follows it.
std::uint64_t take_hex(std::string_view& text) {
  std::uint64_t number = 0;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c >= '0' && c <= '9') {
      number = number << 4U | static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      number = number << 4U | static_cast<std::uint64_t>(c - 'a' + 10);
    } else {
      break;
    }
  }
  return number;
}

void skip_word(std::string_view& text) {
  text.remove_prefix(std::min(text.size(), text.find(' ')));
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
}

// Whether a function of this library or the standard one does no more than call the task.
bool is_plumbing(std::string_view line) {
  constexpr std::string_view untold = "decltype(auto) ";
  if (line.starts_with(untold)) line.remove_prefix(untold.size());
  const std::string_view name = line.substr(0, line.find_first_of("<("));
  return name.find("rankview::") != std::string_view::npos || name.find("std::__invoke") != std::string_view::npos ||
         name.find("std::invoke") != std::string_view::npos || name.find("std::_Function_handler") != std::string_view::npos ||
         name.find("std::function") != std::string_view::npos || name.find("std::enable_if") != std::string_view::npos;
}

// What has called the task or the client, as far as names tell it, is left out.
void leave_out_callers(std::vector<std::string>& lines) {
  const auto caller = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("rankview::detail::run_thunk<") != std::string::npos ||
           line.find("rankview::Cluster::State::run_client(") != std::string::npos;
  });
  if (caller == lines.begin() || caller == lines.end()) return;
  auto end = caller;
  while (end != lines.begin() && is_plumbing(*std::prev(end))) --end;
  // It may have happened in there.
  lines.erase(end == lines.begin() ? caller : end, lines.end());
}

}  // namespace

std::string_view Trace::path_of(const Call& call) const {
  if (call.path >= paths.size()) return {};
  const auto begin = paths.begin() + call.path;
  return {begin, std::find(begin, paths.end(), '\0')};
}

void prime_traces() {
  std::array<void*, 4> addresses{};
  static_cast<void>(backtrace(addresses.data(), static_cast<int>(addresses.size())));
}

void locate(std::span<void* const> addresses, Trace& trace) noexcept {
  trace.count = std::min(addresses.size(), trace.calls.size());
  for (std::size_t i = 0; i < trace.count; ++i) trace.calls[i].address = reinterpret_cast<std::uintptr_t>(addresses[i]);
  Maps maps;
  std::string_view last;  // the path that was noted last
  std::uint32_t last_at = 0;
  std::uint32_t free = 0;
  std::uint64_t file_begin = 0;
  for (std::string_view line; maps.next(line);) {
    const std::uint64_t begin = take_hex(line);
    const std::uint64_t end = take_hex(line);
    skip_word(line);  // what may be done there
    const std::uint64_t offset = take_hex(line);
    skip_word(line);  // the device
    skip_word(line);  // the number of the file
    if (offset == 0) file_begin = begin;
    if (line.empty() || line.front() != '/') continue;
    for (std::size_t i = 0; i < trace.count; ++i) {
      Trace::Call& call = trace.calls[i];
      if (call.address < begin || call.address >= end) continue;
      if (line != last) {
        if (line.size() >= trace.paths.size() - free) continue;
        last_at = free;
        char* const to = trace.paths.data() + last_at;
        std::copy(line.begin(), line.end(), to);
        last = {to, line.size()};
        free += static_cast<std::uint32_t>(line.size()) + 1;
      }
      call.path = last_at;
      call.byte = call.address - begin + offset;
      call.from_start = call.address - file_begin;
    }
  }
}

BacktraceLimit::BacktraceLimit() noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGALRM, &action, &before_);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
  ::alarm(backtrace_limit);
}

BacktraceLimit::~BacktraceLimit() {
  ::alarm(0);
  ::sigaction(SIGALRM, &before_, nullptr);
}

std::string trace_text(const Trace& trace) {
  const std::size_t count = std::min<std::size_t>(trace.count, trace.calls.size());
  std::vector<Place> places;
  for (std::size_t i = 0; i < count; ++i) {
    const Trace::Call& call = trace.calls[i];
    // But for the innermost, what is known is where each would have gone on behind its call.
    places.push_back({std::string(trace.path_of(call)), call.byte - (i == 0 ? 0 : 1)});
  }
  const auto names = describe_places(places, names_limit);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < count; ++i) {
    if (trace.calls[i].path != Trace::no_file) {
      for (const std::string& name : names[i]) lines.push_back(engine::without_defaults(name));
    } else {
      std::ostringstream address;
      address << "0x" << std::hex << trace.calls[i].address;
      lines.push_back(address.str());
    }
  }
  leave_out_callers(lines);
  std::string text;
  for (std::size_t i = 0; i < lines.size();) {
    std::size_t same = i;
    while (same < lines.size() && lines[same] == lines[i]) ++same;
    text += "\n  at " + lines[i];
    if (same - i > 1) text += ", " + std::to_string(same - i) + " times";
    i = same;
  }
  return text;
}

}  // namespace rankview::isolation
