// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/async_result.hpp>
#include <rankview/borrow.hpp>
#include <rankview/by_value.hpp>
#include <rankview/client.hpp>
#include <rankview/cluster.hpp>
#include <rankview/dependency.hpp>
#include <rankview/direct_view.hpp>
#include <rankview/distribution.hpp>
#include <rankview/errors.hpp>
#include <rankview/flags.hpp>
#include <rankview/imap.hpp>
#include <rankview/key_function.hpp>
#include <rankview/load_balanced_view.hpp>
#include <rankview/metadata.hpp>
#include <rankview/operations.hpp>
#include <rankview/options.hpp>
#include <rankview/queue_status.hpp>
#include <rankview/reference.hpp>
#include <rankview/repeat.hpp>
#include <rankview/run.hpp>
#include <rankview/slice.hpp>
#include <rankview/subtask.hpp>
#include <rankview/targets.hpp>
#include <rankview/task.hpp>
#include <rankview/task_data.hpp>
#include <rankview/task_id.hpp>
#include <rankview/this_engine.hpp>
#include <rankview/this_task.hpp>
#include <rankview/variables.hpp>
#include <rankview/when_all.hpp>
