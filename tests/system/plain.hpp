// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

// A library of plain functions.
extern "C" {
using PlainFunction = int (*)(int);
int plain_scale(int n);
PlainFunction plain_offset();
}
