// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

class Silent {
 public:
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void misuse(const rv::EngineView& view) {
  view.apply_sync([](const std::vector<Silent>& given) { return given.size(); }, std::vector<Silent>());
}
