// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::launch {

// Throws UsageError if rankview's runtime lies in this process more than once: in the executable and in a shared library, say. Each copy
// would have state of its own, and know nothing of the runs of the other.
void refuse_copies();

}  // namespace rankview::launch
