// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::transport {

// Data on its way into place.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Whether all has arrived, or left. Does not wait.
  virtual bool done() = 0;
};

}  // namespace rankview::transport
