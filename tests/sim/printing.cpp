// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "printing.hpp"

#include "world.hpp"

#include <rankview/rankview.hpp>

#include <utility>

namespace sim {
namespace {

namespace capture = rankview::capture;

constexpr capture::Terms all_of_it{1000, false};

// By engine.
std::map<int, Printing*>& all_printing() {
  static std::map<int, Printing*> all;
  return all;
}

}  // namespace

Printing::Printing(int engine) : engine_(engine), before_(std::exchange(all_printing()[engine], this)) {}

Printing::~Printing() { all_printing()[engine_] = before_; }

std::unique_ptr<capture::Printed> Printing::begin() { return std::exchange(printed_, std::make_unique<capture::Printed>(all_of_it)); }

void Printing::end(std::unique_ptr<capture::Printed> waiting) { printed_ = std::move(waiting); }

capture::Texts Printing::take() {
  capture::Texts texts{printed_->out.text(), printed_->err.text()};
  printed_->clear();
  return texts;
}

void Printing::print(const std::string& text) {
  if (!diverted_ || printed_ == nullptr) world().give_up("a task prints, and nobody takes it");
  printed_->out.add(text);
}

void print(const std::string& text) { all_printing().at(rankview::this_engine::id())->print(text); }

}  // namespace sim
