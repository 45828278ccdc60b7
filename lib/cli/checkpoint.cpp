// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/checkpoint.hpp"

#include "checkpoint/survey.hpp"
#include "checkpoint/upkeep.hpp"

#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iomanip>
#include <system_error>

namespace rankview::cli {
namespace {

namespace cp = rankview::checkpoint;

constexpr int damaged_code = 1;
constexpr int senseless_code = 2;

// How many bytes the UTF-8 character has that begins there; 0 if it is none.
std::size_t utf8_length(const std::string& text, std::size_t at) {
  const auto byte = [&text](std::size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  std::size_t length = 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) length = 2;
  if (first >= 0xe0 && first < 0xf0) length = 3;
  if (first >= 0xf0 && first < 0xf5) length = 4;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0U) != 0x80U) return 0;
  }
  const unsigned second = byte(at + 1);
  // Longer than needed, halves of pairs, and beyond the last.
  const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) || (first == 0xf0 && second < 0x90) ||
                     (first == 0xf4 && second >= 0x90);
  return wrong ? 0 : length;
}

std::string escaped(unsigned char c) {
  if (c == '"' || c == '\\') return {'\\', static_cast<char>(c)};
  if (c == '\n') return "\\n";
  if (c == '\t') return "\\t";
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "\\u%04x", static_cast<unsigned>(c));
  return text.data();
}

// Seconds since the epoch; 0 if that is not known.
std::int64_t time_of(const cp::Known& known) {
  constexpr std::int64_t second = 1'000'000'000;
  return known.origin.began == 0 ? 0 : known.origin.began / second + known.finished.age;
}

std::string shown_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  if (seconds == 0 || ::localtime_r(&time, &parts) == nullptr || std::strftime(text.data(), text.size(), "%F %T", &parts) == 0) return "-";
  return text.data();
}

std::string shown_call(const cp::Known& known) {
  if (known.callable == nullptr) return "?";
  return known.callable->shown + (known.callable->version.empty() ? "" : ", version " + known.callable->version);
}

std::string text_of_failure(const cp::Known& known) {
  const std::vector<std::byte> bytes = known.value();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void list_line(std::ostream& out, const cp::Known& known) {
  const std::string job = known.origin.host.empty() ? "-" : known.origin.host + ":" + std::to_string(known.origin.process);
  out << to_string(known.finished.key) << "  " << std::setw(19) << shown_time(time_of(known)) << "  " << std::setw(20) << job << "  ";
  if (!known.finished.failed) {
    out << std::right << std::setw(10) << known.finished.size << std::left << "  " << shown_call(known) << "\n";
    return;
  }
  const std::string why = text_of_failure(known);
  const std::size_t line = why.find('\n');
  out << std::right << std::setw(10) << "failed" << std::left << "  " << shown_call(known) << ": " << why.substr(0, line)
      << (line == std::string::npos ? "" : " ...") << "\n";
}

void list_json(std::ostream& out, const cp::Known& known) {
  const cp::Finished& finished = known.finished;
  const cp::Callable none;
  const cp::Callable& callable = known.callable == nullptr ? none : *known.callable;
  out << R"({"key": ")" << to_string(finished.key) << R"(", "status": ")" << (finished.failed ? "failed" : "ok") << R"(", "call": )"
      << json_text(callable.shown) << R"(, "version": )" << json_text(callable.version) << R"(, "result": )" << json_text(callable.result)
      << R"(, "bytes": )" << finished.size << R"(, "when": )" << time_of(known) << R"(, "host": )" << json_text(known.origin.host)
      << R"(, "process": )" << known.origin.process << R"(, "program": )" << json_text(known.origin.program) << R"(, "journal": )"
      << json_text(known.journal.name);
  if (finished.failed) out << R"(, "error": )" << json_text(text_of_failure(known));
  out << "}";
}

// What is wrong with a journal; empty if nothing is.
std::string trouble_of(const cp::Surveyed& journal) {
  if (!journal.unreadable.empty()) return "cannot be used: " + journal.unreadable;
  std::string text;
  const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  if (journal.damage.bytes != 0)
    add("is damaged: " + std::to_string(journal.damage.bytes) + " bytes, the first at " + std::to_string(journal.damage.first) +
        ", say nothing");
  if (journal.damage.later != 0) add("has " + std::to_string(journal.damage.later) + " records that only a later rankview knows");
  if (journal.read.nameless != 0)
    add("has " + std::to_string(journal.read.nameless) +
        " tasks of which nobody knows any more what was called, or with another type of result");
  return text;
}

int list(cp::Survey& survey, const CheckpointWish& wish, std::ostream& out, std::ostream& complaints) {
  for (const cp::Surveyed& journal : survey.journals()) {
    const std::string trouble = trouble_of(journal);
    if (!trouble.empty()) complaints << "rankview: " << survey.directory() << "/" << journal.name << " " << trouble << "\n";
  }
  if (wish.json) {
    out << "[";
  } else {
    out << std::left << std::setw(32) << "key"
        << "  " << std::setw(19) << "when"
        << "  " << std::setw(20) << "job"
        << "  " << std::right << std::setw(10) << "bytes" << std::left << "  call\n";
  }
  bool first = true;
  survey.each([&](const cp::Known& known) {
    if (!known.counts || (wish.failed && !known.finished.failed)) return;
    if (wish.json) {
      out << (first ? "\n" : ",\n");
      list_json(out, known);
    } else {
      list_line(out, known);
    }
    first = false;
  });
  if (wish.json) out << "\n]\n";
  return 0;
}

// Where the last job that wrote it was stopped, if that was within a record.
std::uint64_t bytes_cut(const cp::Surveyed& journal) { return journal.damage.cut ? journal.bytes - journal.read.end : 0; }

int verify(const cp::Survey& survey, const CheckpointWish& wish, std::ostream& out) {
  std::size_t troubled = 0;
  if (wish.json) out << "[";
  for (const cp::Surveyed& journal : survey.journals()) {
    const std::string trouble = trouble_of(journal);
    if (wish.json) {
      out << (&journal == survey.journals().data() ? "\n" : ",\n") << R"({"journal": )" << json_text(journal.name) << R"(, "bytes": )"
          << journal.bytes << R"(, "results": )" << journal.read.results << R"(, "failures": )" << journal.read.failures
          << R"(, "damaged_bytes": )" << journal.damage.bytes << R"(, "first_damaged": )" << journal.damage.first << R"(, "cut_bytes": )"
          << bytes_cut(journal) << R"(, "trouble": )" << json_text(trouble) << "}";
    } else {
      out << journal.name << ": " << journal.read.results << " results, " << journal.read.failures << " failures, " << journal.bytes
          << " bytes";
      if (bytes_cut(journal) != 0) out << ", the last " << bytes_cut(journal) << " of a record that was not written to its end";
      out << (trouble.empty() ? "" : "; it " + trouble) << "\n";
    }
    if (!trouble.empty()) ++troubled;
  }
  if (wish.json) {
    out << "\n]\n";
  } else if (troubled == 0) {
    out << "all is well: " << survey.size() << " tasks in " << survey.journals().size() << " journals\n";
  } else {
    out << troubled << " of " << survey.journals().size() << " journals have lost something; what can be read is used, " << survey.size()
        << " tasks, and the others are done again\n";
  }
  return troubled == 0 ? 0 : damaged_code;
}

cp::Origin this_command() {
  cp::Origin origin;
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) == 0) origin.host = host.data();
  origin.process = static_cast<std::uint64_t>(::getpid());
  origin.began = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::error_code unknown;
  origin.program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return origin;
}

int compact_journals(cp::Disk& disk, const CheckpointWish& wish, std::ostream& out, std::ostream& complaints) {
  const cp::Rewritten done = cp::compact(disk, wish.directory, this_command());
  for (const std::string& journal : done.left_alone) complaints << "rankview: left alone: " << journal << "\n";
  if (done.nameless != 0 || done.damaged != 0)
    complaints << "rankview: gone are " << done.damaged << " damaged bytes, and " << done.nameless
               << " tasks of which nobody knew any more what was called\n";
  if (wish.json) {
    out << R"({"journals": )" << done.journals << R"(, "bytes_before": )" << done.bytes_before << R"(, "bytes": )" << done.bytes
        << R"(, "results": )" << done.results << R"(, "failures": )" << done.failures << R"(, "damaged_bytes": )" << done.damaged
        << R"(, "left_alone": )" << done.left_alone.size() << "}\n";
  } else {
    out << done.journals << " journals are one: " << done.results << " results, " << done.failures << " failures, " << done.bytes
        << " bytes instead of " << done.bytes_before << "\n";
  }
  return done.left_alone.empty() ? 0 : damaged_code;
}

int forget_key(cp::Disk& disk, const CheckpointWish& wish, std::ostream& out) {
  const cp::Forgotten done = cp::forget(disk, wish.directory, wish.key, this_command());
  if (wish.json) {
    out << R"({"key": ")" << to_string(done.key) << R"(", "call": )" << json_text(done.shown) << "}\n";
  } else {
    out << to_string(done.key) << " is forgotten, a task of " << (done.shown.empty() ? "nobody knows what" : done.shown) << "\n";
  }
  return 0;
}

}  // namespace

std::string json_text(const std::string& text) {
  std::string json = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const auto c = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      json += "\\ufffd";
    } else if (c < ' ' || c == '"' || c == '\\') {
      json += escaped(c);
    } else {
      json.append(text, at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return json + "\"";
}

int look_after_checkpoint(const CheckpointWish& wish, checkpoint::Disk& disk, std::ostream& out, std::ostream& complaints) {
  if ((wish.action == "forget") == wish.key.empty()) {
    complaints << (wish.key.empty() ? "rankview checkpoint: forget which key? The list shows them\n"
                                    : "rankview checkpoint: a key goes with forget\n");
    return senseless_code;
  }
  if (wish.action == "compact") return compact_journals(disk, wish, out, complaints);
  if (wish.action == "forget") return forget_key(disk, wish, out);
  cp::Survey survey(disk, wish.directory);
  return wish.action == "verify" ? verify(survey, wish, out) : list(survey, wish, out, complaints);
}

}  // namespace rankview::cli
