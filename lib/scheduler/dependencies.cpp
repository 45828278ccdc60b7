// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/dependencies.hpp"

#include <algorithm>
#include <iterator>

namespace rankview::scheduler {

Verdict After::verdict() const {
  if (total_ == 0) return Verdict::met;
  const std::uint64_t wanted = (rule_.success ? succeeded_ : 0) + (rule_.failure ? failed_ : 0);
  const std::uint64_t unwanted = succeeded_ + failed_ - wanted;
  if (rule_.all) {
    if (unwanted != 0) return Verdict::impossible;
    return wanted == total_ ? Verdict::met : Verdict::waiting;
  }
  if (wanted != 0) return Verdict::met;
  return unwanted == total_ ? Verdict::impossible : Verdict::waiting;
}

void Follow::ended(int engine, bool well) {
  ++ended_;
  if (engine < 0 || !(well ? rule_.success : rule_.failure)) return;
  if (!targets_.empty() && std::find(targets_.begin(), targets_.end(), engine) == targets_.end()) return;
  const auto known = std::find_if(at_.begin(), at_.end(), [engine](const auto& at) { return at.first == engine; });
  if (known != at_.end()) {
    ++known->second;
  } else {
    at_.emplace_back(engine, 1);
  }
}

Verdict Follow::verdict() const {
  if (total_ == 0) return Verdict::met;
  if (rule_.all) {
    if (ended_ == 0) return Verdict::waiting;
    const bool together = at_.size() == 1 && at_.front().second == ended_;
    if (!together) return Verdict::impossible;
    return ended_ == total_ ? Verdict::met : Verdict::waiting;
  }
  if (!at_.empty()) return Verdict::met;
  return ended_ == total_ ? Verdict::impossible : Verdict::waiting;
}

std::vector<int> Follow::engines() const {
  std::vector<int> engines;
  for (const auto& [engine, tasks] : at_) engines.push_back(engine);
  std::sort(engines.begin(), engines.end());
  return engines;
}

Dependencies::Node Dependencies::add(std::uint64_t call) {
  Node node = static_cast<Node>(vertices_.size());
  if (free_.empty()) {
    vertices_.emplace_back();
  } else {
    node = free_.back();
    free_.pop_back();
  }
  vertices_[node].call = call;
  return node;
}

void Dependencies::wait(Node node, Needs needs) {
  vertices_[node].needs = std::make_unique<Needs>(std::move(needs));
  ++waiting_;
}

void Dependencies::depend(Node node, Node on, std::uint64_t item, Need need) {
  Vertex& vertex = vertices_[on];
  Edges* edges = &vertex.on_every;
  if (item != every) {
    if (vertex.on_item == nullptr) vertex.on_item = std::make_unique<std::unordered_map<std::uint64_t, Edges>>();
    edges = &(*vertex.on_item)[item];
  }
  edges->push_back({node, need, vertices_[node].call});
}

void Dependencies::settle(Node node, std::uint64_t cause_call, std::uint64_t cause_item) {
  decide(vertices_[node], cause_call, cause_item);
}

void Dependencies::ended(Node node, std::uint64_t item, int engine, bool well) {
  const Vertex& vertex = vertices_[node];
  tell(vertex.on_every, vertex.call, item, engine, well);
  if (vertex.on_item == nullptr) return;
  const auto found = vertex.on_item->find(item);
  if (found == vertex.on_item->end()) return;
  tell(found->second, vertex.call, item, engine, well);
  vertex.on_item->erase(found);
}

void Dependencies::tell(const Edges& edges, std::uint64_t call, std::uint64_t item, int engine, bool well) {
  for (const Edge& edge : edges) {
    Vertex& dependent = vertices_[edge.node];
    if (dependent.call != edge.call || dependent.needs == nullptr) continue;
    switch (edge.need) {
      case Need::after:
        dependent.needs->after.ended(well);
        break;
      case Need::argument:
        dependent.needs->arguments.ended(well);
        break;
      case Need::follow:
        dependent.needs->follow->ended(engine, well);
    }
    decide(dependent, call, item);
  }
}

void Dependencies::decide(Vertex& vertex, std::uint64_t cause_call, std::uint64_t cause_item) {
  const Needs& needs = *vertex.needs;
  const Verdict verdicts[] = {needs.after.verdict(), needs.arguments.verdict(), needs.follow ? needs.follow->verdict() : Verdict::met};
  const auto is = [](Verdict wanted) { return [wanted](Verdict verdict) { return verdict == wanted; }; };
  Decision decision;
  decision.call = vertex.call;
  if (std::any_of(std::begin(verdicts), std::end(verdicts), is(Verdict::impossible))) {
    decision.verdict = Verdict::impossible;
    decision.cause_call = cause_call;
    decision.cause_item = cause_item;
  } else if (std::all_of(std::begin(verdicts), std::end(verdicts), is(Verdict::met))) {
    decision.verdict = Verdict::met;
    if (needs.follow) decision.engines = needs.follow->engines();
  } else {
    return;
  }
  vertex.needs.reset();
  --waiting_;
  decisions_.push_back(std::move(decision));
}

void Dependencies::remove(Node node) {
  if (vertices_[node].needs) --waiting_;
  vertices_[node] = {};
  free_.push_back(node);
}

std::optional<Dependencies::Decision> Dependencies::next() {
  if (decisions_.empty()) return std::nullopt;
  Decision decision = std::move(decisions_.front());
  decisions_.pop_front();
  return decision;
}

}  // namespace rankview::scheduler
