// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>

// The members of plain structs, which nobody has to name: how many there are, and a way to look at each.
namespace rankview::inline abi_0_1::detail {

template <class... T>
struct Types {};

inline constexpr std::size_t most_members = 32;

// What initialises a member of whatever type, a reference, a union, and a base class of T. Nobody makes one.
struct Anything {
  template <class U>
  operator U() const;
};
struct AnyReference {
  template <class U>
  operator U&() const;
};
struct AnyUnion {
  template <class U>
  requires std::is_union_v<U>
  operator U() const;
};
template <class T>
struct AnyBase {
  template <class U>
  requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>) operator U() const;
};

// Whether T can be made from {} for each of the first N members, and then from Last. A {} makes one member whatever it is, also an array,
// which values without braces would fill one by one.
template <class T, std::size_t N, class... Last>
consteval bool makes() {
  if constexpr (N == 1) {
    return requires { T{{}, Last()...}; };
  } else if constexpr (N == 2) {
    return requires { T{{}, {}, Last()...}; };
  } else if constexpr (N == 3) {
    return requires { T{{}, {}, {}, Last()...}; };
  } else if constexpr (N == 4) {
    return requires { T{{}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 5) {
    return requires { T{{}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 6) {
    return requires { T{{}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 7) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 8) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 9) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 10) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 11) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 12) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 13) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 14) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 15) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 16) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 17) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 18) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 19) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 20) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 21) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 22) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 23) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 24) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 25) {
    return requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...}; };
  } else if constexpr (N == 26) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 27) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 28) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 29) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 30) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 31) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
        {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 32) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},       {},
        {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else if constexpr (N == 33) {
    return requires {
      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
        {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, Last()...};
    };
  } else {
    return requires { T{Last()...}; };
  }
}

// The number of members of an aggregate, or why they cannot be told apart.
inline constexpr std::size_t too_many_members = most_members + 1;
inline constexpr std::size_t a_base_class = most_members + 2;
inline constexpr std::size_t a_union = most_members + 3;        // which may have no name, so that the members have none either
inline constexpr std::size_t unmade_member = most_members + 4;  // a reference, or without a default constructor

template <class T, std::size_t N = 0>
consteval std::size_t count_members() {
  if constexpr (N == 0 && makes<T, 0, AnyBase<T>>()) {
    return a_base_class;
  } else if constexpr (N > most_members) {
    return too_many_members;
  } else if constexpr (makes<T, N, AnyUnion>()) {
    return a_union;
  } else if constexpr (makes<T, N + 1>()) {
    return count_members<T, N + 1>();
  } else {
    return makes<T, N, Anything>() || makes<T, N, AnyReference>() ? unmade_member : N;
  }
}

// Calls f with the types of N members, which are all, and with themselves.
template <std::size_t N, class T, class F>
constexpr decltype(auto) with_members(T& value, F&& f) {
  if constexpr (N == 0) {
    return f(Types<>());
  } else if constexpr (N == 1) {
    auto& [a] = value;
    return f(Types<decltype(a)>(), a);
  } else if constexpr (N == 2) {
    auto& [a, b] = value;
    return f(Types<decltype(a), decltype(b)>(), a, b);
  } else if constexpr (N == 3) {
    auto& [a, b, c] = value;
    return f(Types<decltype(a), decltype(b), decltype(c)>(), a, b, c);
  } else if constexpr (N == 4) {
    auto& [a, b, c, d] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d)>(), a, b, c, d);
  } else if constexpr (N == 5) {
    auto& [a, b, c, d, e] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e)>(), a, b, c, d, e);
  } else if constexpr (N == 6) {
    auto& [a, b, c, d, e, g] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g)>(), a, b, c, d, e, g);
  } else if constexpr (N == 7) {
    auto& [a, b, c, d, e, g, h] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h)>(), a, b, c, d, e, g, h);
  } else if constexpr (N == 8) {
    auto& [a, b, c, d, e, g, h, i] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i)>(), a, b, c, d, e,
             g, h, i);
  } else if constexpr (N == 9) {
    auto& [a, b, c, d, e, g, h, i, j] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j)>(),
             a, b, c, d, e, g, h, i, j);
  } else if constexpr (N == 10) {
    auto& [a, b, c, d, e, g, h, i, j, k] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k)>(),
             a, b, c, d, e, g, h, i, j, k);
  } else if constexpr (N == 11) {
    auto& [a, b, c, d, e, g, h, i, j, k, l] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l)>(),
             a, b, c, d, e, g, h, i, j, k, l);
  } else if constexpr (N == 12) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m)>(),
             a, b, c, d, e, g, h, i, j, k, l, m);
  } else if constexpr (N == 13) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n);
  } else if constexpr (N == 14) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o);
  } else if constexpr (N == 15) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p);
  } else if constexpr (N == 16) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q);
  } else if constexpr (N == 17) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r);
  } else if constexpr (N == 18) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s);
  } else if constexpr (N == 19) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t);
  } else if constexpr (N == 20) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u);
  } else if constexpr (N == 21) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v);
  } else if constexpr (N == 22) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w);
  } else if constexpr (N == 23) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x);
  } else if constexpr (N == 24) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y);
  } else if constexpr (N == 25) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z);
  } else if constexpr (N == 26) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A);
  } else if constexpr (N == 27) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A), decltype(B)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B);
  } else if constexpr (N == 28) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A), decltype(B),
                   decltype(C)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C);
  } else if constexpr (N == 29) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A), decltype(B),
                   decltype(C), decltype(D)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D);
  } else if constexpr (N == 30) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A), decltype(B),
                   decltype(C), decltype(D), decltype(E)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E);
  } else if constexpr (N == 31) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E, G] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A), decltype(B),
                   decltype(C), decltype(D), decltype(E), decltype(G)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E, G);
  } else if constexpr (N == 32) {
    auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E, G, H] = value;
    return f(Types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(g), decltype(h), decltype(i), decltype(j),
                   decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p), decltype(q), decltype(r), decltype(s),
                   decltype(t), decltype(u), decltype(v), decltype(w), decltype(x), decltype(y), decltype(z), decltype(A), decltype(B),
                   decltype(C), decltype(D), decltype(E), decltype(G), decltype(H)>(),
             a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E, G, H);
  }
}

}  // namespace rankview::detail
