// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/input.hpp"

#include <rankview/errors.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::farm {
namespace {

constexpr std::size_t read_at_once = 256U * 1024U;
constexpr std::string_view white = " \t\n\r\f\v";

isolation::Fd opened_to_read(const std::string& path) {
  const int fd = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), path == "-" ? "standard input" : path);
  return isolation::Fd(fd);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(white);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white) - first + 1);
}

}  // namespace

void wait_for_input(int descriptor) {
  pollfd fd{descriptor, POLLIN, 0};
  ::poll(&fd, 1, -1);
}

Next WordRecords::next(std::string& record) {
  if (at_ == words_.size()) return Next::none;
  record = words_[at_++];
  return Next::there;
}

FileRecords::FileRecords(const std::string& path, char delimiter) : FileRecords(opened_to_read(path), delimiter) {}

FileRecords::FileRecords(isolation::Fd file, char delimiter) : file_(std::move(file)), delimiter_(delimiter) {}

Next FileRecords::next(std::string& record) {
  for (;;) {
    const std::size_t end = buffer_.find(delimiter_, searched_);
    if (end != std::string::npos) {
      record.assign(buffer_, taken_, end - taken_);
      taken_ = searched_ = end + 1;
      return Next::there;
    }
    searched_ = buffer_.size();
    if (ended_) {
      if (taken_ == buffer_.size()) return Next::none;
      record.assign(buffer_, taken_);
      taken_ = buffer_.size();
      return Next::there;
    }
    if (!can_be_read()) return Next::later;
    read();
  }
}

// Whether reading would not wait; always so of a file.
bool FileRecords::can_be_read() const {
  pollfd fd{file_.get(), POLLIN, 0};
  return ::poll(&fd, 1, 0) != 0;
}

void FileRecords::read() {
  buffer_.erase(0, taken_);
  taken_ = 0;
  searched_ = buffer_.size();
  buffer_.resize(searched_ + read_at_once);
  ssize_t got = 0;
  do {
    got = ::read(file_.get(), buffer_.data() + searched_, read_at_once);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  buffer_.resize(searched_ + static_cast<std::size_t>(got < 0 ? 0 : got));
  if (got < 0 && error != EAGAIN) throw std::system_error(error, std::generic_category(), "the list of tasks cannot be read");
  if (got == 0) ended_ = true;
}

Columns::Columns(const std::string& separator) {
  constexpr std::string_view special = ".*+?()[]{}|^$\\";
  if (separator == "\\s+") return;
  if (separator == "\\t") {
    text_ = "\t";
    return;
  }
  for (std::size_t i = 0; i < separator.size(); ++i) {
    const bool escaped = separator[i] == '\\' && i + 1 < separator.size() && special.find(separator[i + 1]) != std::string_view::npos;
    if (escaped) ++i;
    if (!escaped && special.find(separator[i]) != std::string_view::npos)
      throw UsageError("--colsep takes a text, \\t or \\s+, and not the regular expression " + separator);
    text_ += separator[i];
  }
  if (text_.empty()) throw UsageError("--colsep: what stands between columns?");
}

void Columns::split(const std::string& record, Arguments& into) const {
  std::string_view rest = record;
  for (;;) {
    const std::size_t end = text_.empty() ? rest.find_first_of(white) : rest.find(text_);
    into.emplace_back(trimmed(rest.substr(0, end)));
    if (end == std::string_view::npos) return;
    rest.remove_prefix(text_.empty() ? std::min(rest.find_first_not_of(white, end), rest.size()) : end + text_.size());
  }
}

void Input::add(std::unique_ptr<Records> records, bool linked) {
  if (!linked || groups_.empty()) groups_.emplace_back();
  groups_.back().sources.push_back(std::move(records));
}

// One argument of each source of a group.
Next Input::read(Group& group, Arguments& into) {
  while (partly_.size() < group.sources.size()) {
    Records& source = *group.sources[partly_.size()];
    std::string record;
    const Next next = source.next(record);
    if (next == Next::later) waits_for_ = source.descriptor();
    if (next != Next::there) return next;
    partly_.push_back(std::move(record));
  }
  into = std::exchange(partly_, {});
  return Next::there;
}

// Of all groups but the first. Nothing if one of them is empty, and so are all combinations.
Next Input::read_rest() {
  for (std::size_t i = 1; i < groups_.size(); ++i) {
    Group& group = groups_[i];
    while (!group.complete) {
      Arguments arguments;
      const Next next = read(group, arguments);
      if (next == Next::later) return next;
      if (next == Next::there) {
        group.all.push_back(std::move(arguments));
      } else {
        partly_.clear();
        group.complete = true;
      }
    }
    if (group.all.empty()) return Next::none;
  }
  return Next::there;
}

Next Input::next(Arguments& into) {
  if (groups_.empty()) return Next::none;
  if (const Next rest = read_rest(); rest != Next::there) return rest;
  // The last group that has one more goes on by one, and all behind it begin anew.
  std::size_t turn = begun_ ? groups_.size() - 1 : 0;
  while (turn > 0 && groups_[turn].at == groups_[turn].all.size()) --turn;
  if (turn == 0) {
    const Next first = read(groups_[0], groups_[0].now);
    if (first != Next::there) return first;
  } else {
    groups_[turn].now = groups_[turn].all[groups_[turn].at++];
  }
  for (std::size_t i = turn + 1; i < groups_.size(); ++i) {
    groups_[i].now = groups_[i].all.front();
    groups_[i].at = 1;
  }
  begun_ = true;
  deliver(into);
  return Next::there;
}

void Input::deliver(Arguments& into) const {
  into.clear();
  for (const Group& group : groups_) {
    for (const std::string& argument : group.now) {
      if (columns_) {
        columns_->split(argument, into);
      } else {
        into.push_back(argument);
      }
    }
  }
}

}  // namespace rankview::farm
