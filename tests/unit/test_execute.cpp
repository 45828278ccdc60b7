// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/diagnostics.hpp"
#include "execute/items.hpp"
#include "execute/library.hpp"
#include "execute/prelude.hpp"
#include "execute/program.hpp"
#include "execute/tokens.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <string>
#include <string_view>
#include <vector>

// How C++ source is cut into items, written as a program, and what is made of what compilers say.
namespace {

using rankview::CompileError;
using rankview::detail::NamedType;
using namespace rankview::execute;

std::vector<std::string> words(std::string_view source) {
  std::vector<std::string> all;
  for (const Token& token : tokens_of(source)) all.emplace_back(token.text);
  return all;
}

// The kinds of the items, a letter for each.
std::string kinds(std::string_view source) {
  const TopLevel code(source);
  std::string all;
  for (const Item& item : code.items()) all += "pdas"[static_cast<std::size_t>(item.kind)];
  return all;
}

std::vector<std::string> declared(std::string_view source) {
  const TopLevel code(source);
  std::vector<std::string> all;
  for (const Item& item : code.items()) {
    for (const Declared& name : code.declared(item)) all.push_back(name.name);
  }
  return all;
}

std::vector<std::string> locals(std::string_view source) {
  const TopLevel code(source);
  return code.items().empty() ? std::vector<std::string>() : code.locals(code.items().front());
}

std::string program(std::string_view source, const std::vector<NamedType>& variables = {}, const std::string& result = "") {
  Library library;
  const TopLevel code(source);
  const int block = library.add("<code>", code).block;
  return program_of({"<code>", code, block, result}, library, variables).text;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("source is cut into words", "[execute]") {
  using Words = std::vector<std::string>;
  CHECK(words("a=b+1;") == Words{"a", "=", "b", "+", "1", ";"});
  CHECK(words("a<<=b->*c<=>d...") == Words{"a", "<<=", "b", "->*", "c", "<=>", "d", "..."});
  CHECK(words("x // no = \"1\";\ny /* \n { */ z") == Words{"x", "y", "z"});
  CHECK(words("\"a\\\"b\" 'c' '\\'' u8\"d\" L'e'") == Words{"\"a\\\"b\"", "'c'", "'\\''", "u8\"d\"", "L'e'"});
  CHECK(words("R\"x(a)\" \n { )x\" b") == Words{"R\"x(a)\" \n { )x\"", "b"});
  CHECK(words("1'000.5e-3f .5 0x1p-3 a.b") == Words{"1'000.5e-3f", ".5", "0x1p-3", "a", ".", "b"});
  CHECK(words("#include <a> // b\nx # y\n  #define A \\\n  1\nz") == Words{"#include <a> // b", "x", "#", "y", "#define A \\\n  1", "z"});
  CHECK(words("grün_ß = 1") == Words{"grün_ß", "=", "1"});
  CHECK(words("\"no end\nx") == Words{"\"no end", "x"});
  CHECK(words("/* no end").empty());
  CHECK(words("").empty());
}

TEST_CASE("words know their lines and columns", "[execute]") {
  const auto tokens = tokens_of("a\n  b /* \n */ c\nR\"(\n)\" d");
  REQUIRE(tokens.size() == 5);
  const std::vector<std::pair<int, int>> expected{{1, 1}, {2, 3}, {3, 5}, {4, 1}, {5, 4}};
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    CHECK(tokens[i].line == expected[i].first);
    CHECK(tokens[i].column == expected[i].second);
  }
}

TEST_CASE("declarations, assignments and statements are told apart", "[execute]") {
  // p: goes before everything; d: to a namespace; a: name = value; s: statement.
  CHECK(kinds("#include <map>\nusing namespace std;\n#define A 1") == "ppp");
  CHECK(kinds("#ifdef A\n#include <a>\n#else\n#include <b>\n#endif\nx = 1;") == "pa");
  CHECK(kinds("double f(double x) { return 2 * x; }") == "d");
  CHECK(kinds("std::vector<int> g() { return {}; } auto h(int a) -> int { return a; }") == "dd");
  CHECK(kinds("template <class T> T twice(T x) { return 2 * x; }") == "d");
  CHECK(kinds("template <class T> requires (sizeof(T) > 1) T f(T x) { return x; } f(1);") == "ds");
  CHECK(kinds("struct P { int x; int f() { return x; } }; enum Color { red, green }; class Q;") == "ddd");
  CHECK(kinds("P operator+(P a, P b) { return {a.x + b.x}; } bool operator==(P, P) { return true; }") == "dd");
  CHECK(kinds("namespace a { int x; } namespace b = a; using c = int; typedef int d; constexpr double pi = 3.14;") == "ddddd");
  CHECK(kinds("inline int n = 3; extern \"C\" { int puts(const char*); } static int f() { return 1; }") == "ddd");
  CHECK(kinds("void P::f() const noexcept { }") == "d");
  CHECK(kinds("x = 3; y = f(1, 2); z = x") == "aaa");
  CHECK(kinds("x == 3; x += 1; x[0] = 2; p.x = 1; a = b, c = d; int n = 3; *p = 1;") == "sssssss");
  CHECK(kinds("if (a) { b = 1; } else if (c) d(); else { e(); } x = 1;") == "sa");
  CHECK(kinds("for (int i = 0; i < 3; ++i) if (i) { a(); } x = 1;") == "sa");
  CHECK(kinds("while (a) { } do { b(); } while (c); switch (a) { case 1: break; } try { } catch (...) { } { x = 1; }") == "sssss");
  CHECK(kinds("auto f = [](int x) { return x; }; std::sort(a.begin(), a.end(), [](int x, int y) { return x < y; });") == "ss");
  CHECK(kinds("f = [](double x) { return 2 * x; };") == "a");
  CHECK(kinds("[&] { a(); }(); std::thread t([] { b(); }); std::vector<int> v{1, 2}; static int count = 0;") == "ssss");
  CHECK(kinds("return 1; throw 2; static_assert(true);") == "sss");
  CHECK(kinds("#pragma omp parallel for\nfor (;;) { }") == "ss");
  CHECK(kinds("a + b") == "s");
  CHECK(kinds(";;;").empty());
  CHECK(kinds("std::cout << f(x) << \"{\" << std::endl; x.f(1); obj->g(2); h(3);") == "ssss");
}

TEST_CASE("what declarations declare", "[execute]") {
  using Names = std::vector<std::string>;
  CHECK(declared("struct P { int x; }; class Q { }; union R { int a; }; enum class E { a, b };") == Names{"P", "Q", "R", "E"});
  CHECK(declared("enum Color { red, green = f(1, 2), blue };") == Names{"Color", "red", "green", "blue"});
  CHECK(declared("double f(double x) { return x; } template <class T> T g(T x) { return x; }") == Names{"f", "g"});
  CHECK(declared("using a = int; typedef int b; typedef int (*c)(int); using std::cout; namespace d { int x; }") ==
        Names{"a", "b", "c", "cout", "d"});
  CHECK(declared("constexpr double pi = 3.14; inline int n{3}; template <class T> concept C = true; template <class T> struct S { };") ==
        Names{"pi", "n", "C", "S"});
  CHECK(declared("bool operator<(P a, P b) { return a.x < b.x; } void P::f() { }").empty());
}

TEST_CASE("a product is no declaration", "[execute]") {
  using Names = std::vector<std::string>;
  CHECK(locals("int a = 1, b, c{2};") == Names{"a", "b", "c"});
  CHECK(locals("const std::vector<double>& v = f();") == Names{"v"});
  CHECK(locals("auto [a, b] = f();") == Names{"a", "b"});
  CHECK(locals("double* p;") == Names{"p"});
  CHECK(locals("P* p = &q;") == Names{"p"});
  CHECK(locals("P p;") == Names{"p"});
  CHECK(locals("a * b").empty());
  CHECK(locals("a * f(b);").empty());
  CHECK(locals("a & b;").empty());
  CHECK(locals("a < b;").empty());
  CHECK(locals("f(x);").empty());
  CHECK(locals("x;").empty());
}

TEST_CASE("a bracket without the other is told by its line", "[execute]") {
  const auto first = [](std::string_view source) { return TopLevel(source).unbalanced().at(0).line; };
  CHECK(first("f(1);\nif (a) {\n  b();\n") == 2);
  CHECK(first("f(1;\ng();\n") == 1);
  CHECK(first("a();\n}\n") == 2);
  CHECK(first("a[1);\n") == 1);
  CHECK(TopLevel("\"{\" /* ( */ '['").unbalanced().empty());
}

TEST_CASE("names that may be variables", "[execute]") {
  const TopLevel code("y = a.b + p->c + std::max(d, e) + ns::f; return g;");
  CHECK(code.names(0, code.tokens().size()) == std::vector<std::string>{"a", "d", "e", "g", "p", "y"});
}

TEST_CASE("variables that the code uses are bound, and no others", "[execute]") {
  const std::string text = program("b = 2 * a;", {{"a", "double"}, {"c", "int"}});
  CHECK(has(text, "auto& a = rankview_context.get<::rankview_snippet::same<double>>(\"a\")"));
  CHECK_FALSE(has(text, "\"c\""));
  CHECK(has(text, "rankview_context.assign(\"b\""));
  // What is given a value first need not be there.
  CHECK_FALSE(has(program("a = 1; f(a);", {{"a", "int"}}), "get<"));
  CHECK(has(program("a = a + 1;", {{"a", "int"}}), "get<"));
  // Nor what the code declares itself.
  CHECK_FALSE(has(program("int a = 1; f(a);", {{"a", "int"}}), "get<"));
  CHECK_FALSE(has(program("void a() { } a();", {{"a", "int"}}), "get<"));
  // A type that nobody can write out is left to the compiler, which does not find the name.
  CHECK_FALSE(has(program("f(a);", {{"a", "main::{lambda()#1}"}}), "get<"));
}

TEST_CASE("the compiler is told the code's own lines", "[execute]") {
  const std::string text = program("int n = 1;\n\n   f(n);\nx =\n  g(n);");
  CHECK(has(text, "#line 1 \"<code>\"\nint n = 1;\n"));
  CHECK(has(text, "#line 3 \"<code>\"\n   f(n);\n"));
  CHECK(has(text, "#line 5 \"<code>\"\n  g(n)\n"));
}

TEST_CASE("the value is the last expression, or what is returned", "[execute]") {
  CHECK(has(program("f();\ng()", {}, "int"), "return\n#line 2 \"<code>\"\ng();"));
  CHECK(has(program("x = 3;", {}, "int"), "return x;"));
  CHECK(has(program("a * b;", {}, "double"), "return\n#line 1 \"<code>\"\na * b;"));
  CHECK_FALSE(has(program("if (a) return 1; else return 2;", {}, "int"), "return\n"));
  for (const char* const without : {"", "int n = 3;", "for (;;) { }", "struct P { };"}) {
    INFO(without);
    CHECK_THROWS_AS(program(without, {}, "int"), CompileError);
  }
}

TEST_CASE("what one snippet declares is there for the next, and may be declared anew", "[execute]") {
  Library library;
  const TopLevel first("struct P { int x; }; int f() { return 1; }");
  const TopLevel second("int f() { return 2; }");
  const TopLevel third("int g(P p) { return p.x + f(); }");
  const auto added = library.add("<code>", first);
  CHECK(added.block == 1);
  CHECK(library.add("<code>", second).block == 2);
  CHECK(library.add("<code>", third).block == 3);
  CHECK(library.declares("P") == 1);
  CHECK(library.declares("f") == 2);
  CHECK(library.needed({"g"}, {}) == std::set<int>{1, 2, 3});
  CHECK(library.needed({"f"}, {}) == std::set<int>{2});
  CHECK(library.needed({"x"}, {"std::vector<rankview_space_1::P>"}) == std::set<int>{1});
  // The same once more is the same block, and the latest.
  CHECK(library.add("<code>", first).block == 1);
  CHECK(library.declares("f") == 1);
  // What does not compile is as if it had not been.
  library.forget(added);
  CHECK(library.declares("f") == 2);
  CHECK(library.declares("P") == 0);
}

TEST_CASE("what earlier snippets include does not make another program of one", "[execute]") {
  Library library;
  const TopLevel code("x = 1;");
  const auto before = program_of({"<code>", code, 0, ""}, library, {});
  library.add("<code>", TopLevel("#include <regex>"));
  const auto after = program_of({"<code>", code, 0, ""}, library, {});
  CHECK(before.identity == after.identity);
  CHECK(has(after.text, "#include <regex>"));
  library.add("<code>", TopLevel("#define x y"));
  CHECK(program_of({"<code>", code, 0, ""}, library, {}).identity != before.identity);
}

TEST_CASE("what GCC says becomes errors of the code's lines", "[execute]") {
  const auto errors = errors_in(
      "<code>: In function 'void rankview_space_0::rankview_body(rankview_snippet::Context&)':\n"
      "<code>:2:7: error: 'm' was not declared in this scope\n"
      "In file included from /usr/include/c++/12/algorithm:61,\n"
      "/usr/include/c++/12/bits/stl_algo.h: In instantiation of 'void std::sort(It, It)':\n"
      "<code>:4:12:   required from here\n"
      "/usr/include/c++/12/bits/stl_algo.h:1945:18: error: no match for 'operator-'\n"
      "<code>:5:1: note: candidate\n"
      "rankview:variable:p:1:30: error: 'app' was not declared in this scope\n"
      "<code>:1:10: fatal error: none.hpp: No such file or directory\n",
      "<code>");
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].line == 2);
  CHECK(errors[0].column == 7);
  CHECK(errors[0].text == "'m' was not declared in this scope");
  CHECK(errors[1].line == 4);
  CHECK(errors[1].text == "no match for 'operator-'");
  CHECK(has(errors[2].text, "variable p is of a type that the code does not know"));
  CHECK(errors[3].line == 1);
  CHECK(errors[3].file == "<code>");
}

TEST_CASE("what clang says becomes errors of the code's lines", "[execute]") {
  const auto errors = errors_in(
      "In file included from x.cpp:1:\n"
      "/usr/include/c++/12/bits/stl_algo.h:1945:18: error: invalid operands to binary expression\n"
      "/usr/include/c++/12/bits/stl_algo.h:4820:12: note: in instantiation of function template\n"
      "my dir/a:b.cpp:7:6: note: in instantiation of function template specialization 'std::sort' requested here\n"
      "my dir/a:b.cpp:9:1: error: unknown type name 'rankview_space_3::Q'\n",
      "my dir/a:b.cpp");
  REQUIRE(errors.size() == 2);
  CHECK(errors[0].line == 7);
  CHECK(errors[1].line == 9);
  CHECK(errors[1].text == "unknown type name 'Q'");
}

TEST_CASE("code that is cut anywhere is taken as it is, or refused", "[execute]") {
  const std::string source =
      "#include <map>\n#if A\nint a;\n#endif\nusing namespace std;\ntemplate <class T> struct S : B<T> { T f() { return {}; } };\n"
      "enum class E : int { a = 1, b };\ntypedef void (*g)(int);\nnamespace n::m { int x; }\nextern \"C\" int puts(const char*);\n"
      "P operator+(P a, P b) { return a; }\nx = f(1, {2, 3})[4]; const auto& [y, z] = R\"(a\n))\"; int* p = &x, q(3);\n"
      "if (x) { y(); } else if (z) w(); else { }\ndo { --x; } while (x > 0); try { } catch (int) { } switch (x) { case 1: ; }\n"
      "for (int i : {1, 2}) for (;;) break; /* c */ // d\nfoo<bar<1>, 2>::baz(u8\"\\\"\", '\\'', 1'000e-3); a * b";
  const std::vector<NamedType> variables{{"x", "int"}, {"y", "double"}, {"z", "std::string"}};
  std::size_t written = 0;
  for (std::size_t end = 0; end <= source.size(); ++end) {
    for (const std::size_t begin : {std::size_t{0}, end / 2}) {
      const std::string part = source.substr(begin, end - begin);
      const TopLevel code(part);
      // Each token is in one item, or a semicolon.
      std::size_t at = 0;
      for (const Item& item : code.items()) {
        REQUIRE(item.begin >= at);
        REQUIRE(item.end > item.begin);
        REQUIRE(item.end <= code.tokens().size());
        at = item.end;
        static_cast<void>(code.text(item));
        static_cast<void>(code.declared(item));
        static_cast<void>(code.locals(item));
        static_cast<void>(code.is_expression(item));
      }
      try {
        written += program(part, variables, "int").empty() ? 0 : 1;
      } catch (const CompileError&) {
        // Unbalanced, or without a value.
      }
    }
  }
  CHECK(written > 100);
}
