// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/program.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace rankview::execute {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether code can say it.
bool can_be_written(std::string_view type) {
  return type.find("{lambda") == std::string_view::npos && type.find("{unnamed") == std::string_view::npos &&
         type.find("(anonymous") == std::string_view::npos && type.find("'lambda") == std::string_view::npos &&
         type.find("::$_") == std::string_view::npos;
}

[[noreturn]] void refuse(const Snippet& snippet, const Token& at, const std::string& why) {
  throw CompileError({{snippet.file, at.line, at.column, why}});
}

// All names in the code but those of its local variables, also those before ::, which are none of variables but may be what an earlier
// snippet has declared.
std::vector<std::string> names_in(const TopLevel& code) {
  const std::vector<Token>& tokens = code.tokens();
  std::vector<std::string> names = code.names(0, tokens.size());
  std::set<std::string> locals;
  for (const Item& item : code.items()) {
    for (std::string& name : code.locals(item)) locals.insert(std::move(name));
  }
  std::erase_if(names, [&locals](const std::string& name) { return locals.contains(name); });
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (tokens[i].kind == TokenKind::name && tokens[i + 1] == "::") names.emplace_back(tokens[i].text);
  }
  return names;
}

// Writes one program.
class Writing {
 public:
  Writing(const Snippet& snippet, const Library& library, const std::vector<detail::NamedType>& variables)
      : snippet_(snippet), code_(snippet.code), library_(library) {
    for (const detail::NamedType& variable : variables) {
      if (can_be_written(variable.type)) types_[variable.name] = variable.type;
    }
    if (snippet.block != 0) {
      for (const Declared& declared : library.block(snippet.block).declared) types_.erase(declared.name);
    }
    find_blocks();
    for (const char* const own : {"id", "size"}) {
      if (!types_.contains(own) && library.declares(own) == 0) types_[own] = "const int";
    }
    if (!types_.contains("args") && library.declares("args") == 0) types_["args"] = "const std::vector<std::string>";
  }

  Program write() {
    if (!code_.unbalanced().empty()) {
      const Unbalanced& first = code_.unbalanced().front();
      throw CompileError({{snippet_.file, first.line, first.column, first.text}});
    }
    Program program;
    for (const std::string& line : library_.includes()) program.text += line;
    for (const std::string& line : library_.macros()) text_ += line;
    write_references();
    for (const int block : blocks_) {
      if (block != snippet_.block) write_block(block);
    }
    const std::string space = space_of(snippet_.block);
    if (snippet_.block != 0) write_references_of(snippet_.block);
    text_ += "namespace " + space + " {\n";
    if (snippet_.block != 0) write_declarations(library_.block(snippet_.block));
    write_imports();
    write_body();
    text_ += "}\n";
    write_entry(space);
    program.identity = text_;
    program.text += text_;
    return program;
  }

 private:
  // What it stands on: types of variables may be those of earlier snippets, too.
  void find_blocks() {
    const std::vector<std::string> names = names_in(code_);
    std::vector<std::string> types;
    if (!snippet_.result.empty()) types.push_back(snippet_.result);
    if (snippet_.block != 0) types.push_back(space_of(snippet_.block));
    for (const std::string& name : names) add_type(name, types);
    for (std::size_t looked_at = 0; looked_at != types.size() || blocks_.empty();) {
      looked_at = types.size();
      blocks_ = library_.needed(names, types);
      for (const int block : blocks_) {
        for (const std::string& name : library_.block(block).names) {
          if (referred_.insert(name).second) add_type(name, types);
        }
      }
      if (blocks_.empty()) break;
    }
  }
  void add_type(const std::string& name, std::vector<std::string>& types) const {
    if (const auto type = types_.find(name); type != types_.end()) types.push_back(type->second);
  }

  // Variables that functions use are references, whose place is filled in when the snippet begins. The language does not bind a reference
  // anew, but to the compiler one that is defined elsewhere is a cell with an address. The cell has a second name, by which it is written.
  void write_references() {
    std::erase_if(referred_, [this](const std::string& name) { return !types_.contains(name); });
    for (const std::string& name : referred_) write_cell(name);
  }
  void write_cell(const std::string& name) {
    const std::string cell = "rankview_cell_" + name;
    text_ += made_here("variable:" + name) + "__asm__(\".pushsection .bss\\n.balign 8\\nrankview_reference_" + name + ":\\n" + cell +
             ":\\n.zero 8\\n.popsection\");\n" + "extern const void* " + cell + " __asm__(\"" + cell +
             "\") __attribute__((visibility(\"hidden\")));\n";
  }
  // Behind the blocks that their types are of.
  void write_references_of(int block) {
    for (const std::string& name : referred_) {
      if (!written_.contains(name) && contains(library_.block(block).names, name)) write_reference(name);
    }
  }
  void write_reference(const std::string& name) {
    written_.insert(name);
    text_ += made_here("variable:" + name) + "namespace rankview_variables { extern ::rankview_snippet::same<" + types_[name] + ">& " +
             name + " __asm__(\"rankview_reference_" + name + "\") __attribute__((visibility(\"hidden\"))); }\n";
  }

  void write_block(int number) {
    const Block& block = library_.block(number);
    write_references_of(number);
    text_ += "namespace " + space_of(number) + " {\n";
    write_declarations(block);
    text_ += "}\n";
  }

  void write_declarations(const Block& block) {
    text_ += made_here("imports");
    for (const std::string& name : block.names) {
      if (written_.contains(name)) text_ += "using ::rankview_variables::" + name + ";\n";
    }
    for (const auto& [name, from] : block.imports) {
      if (!written_.contains(name)) import(name, from);
    }
    text_ += block.text;
  }

  void import(const std::string& name, int from) {
    const std::string there = "::" + space_of(from) + "::" + name + ";\n";
    text_ += library_.is_namespace(from, name) ? "namespace " + name + " = " + there : "using " + there;
  }

  // Of what the statements use of earlier snippets.
  void write_imports() {
    text_ += made_here("imports");
    for (const std::string& name : used_in_statements()) {
      const int from = library_.declares(name);
      const bool known = snippet_.block != 0 && library_.block(snippet_.block).imports.contains(name);
      if (blocks_.contains(from) && from != snippet_.block && !known && !types_.contains(name)) import(name, from);
    }
  }

  [[nodiscard]] std::vector<std::string> used_in_statements() const {
    std::vector<std::string> all;
    for (const Item& item : code_.items()) {
      if (item.kind != ItemKind::statement && item.kind != ItemKind::assignment) continue;
      for (std::string& name : code_.names(item)) {
        if (!contains(all, name)) all.push_back(std::move(name));
      }
      // Types are looked through for what stands before ::, too.
      for (std::size_t i = item.begin; i + 1 < item.end; ++i) {
        const Token& token = code_.tokens()[i];
        if (token.kind == TokenKind::name && code_.tokens()[i + 1] == "::" && !contains(all, std::string(token.text)))
          all.emplace_back(token.text);
      }
    }
    return all;
  }

  // ---- what is run ----

  void write_body() {
    const bool value = !snippet_.result.empty();
    text_ += made_here("result");
    text_ += "static __attribute__((noinline)) " + (value ? "::rankview_snippet::same<" + snippet_.result + ">" : std::string("void")) +
             " rankview_body([[maybe_unused]] ::rankview_snippet::Context& rankview_context) {\n";
    write_bindings();
    text_ += value ? "{\n" : "[&] {\n";
    std::optional<Item> last;
    for (const Item& item : code_.items()) {
      if (item.kind == ItemKind::statement || item.kind == ItemKind::assignment) last = item;
    }
    for (const Item& item : code_.items()) {
      if (item.kind == ItemKind::assignment) {
        write_assignment(item);
      } else if (item.kind == ItemKind::statement) {
        write_statement(item, value && item.begin == last->begin);
      }
    }
    text_ += made_here("end");
    call_main(value);
    if (value && last && last->kind == ItemKind::assignment)
      text_ += "return " + std::string(code_.tokens()[last->begin].text) + ";\n";
    else if (value && !has_value(last) && !calls_main())
      throw CompileError({{snippet_.file, 0, 0, "the code has no value: let it end with an expression, or return one"}});
    text_.append(static_cast<std::size_t>(scopes_), '}');
    text_ += value ? "}\nrankview_context.fail(rankview_context, false);\n__builtin_unreachable();\n}\n" : "}();\n}\n";
  }

  [[nodiscard]] bool has_value(const std::optional<Item>& last) const {
    if (last && (last->kind == ItemKind::assignment || code_.is_expression(*last))) return true;
    const std::vector<Token>& tokens = code_.tokens();
    for (const Item& item : code_.items()) {
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(item.begin);
      const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(item.end);
      const auto leaves = [](const Token& token) { return token == "return" || token == "throw"; };
      if (item.kind == ItemKind::statement && std::any_of(begin, end, leaves)) return true;
    }
    return false;
  }

  [[nodiscard]] bool calls_main() const {
    if (snippet_.block == 0) return false;
    const std::vector<Declared>& own = library_.block(snippet_.block).declared;
    return std::find(own.begin(), own.end(), Declared{"main", false}) != own.end();
  }
  // A whole program is run, too.
  void call_main(bool value) {
    if (!calls_main()) return;
    const std::string call = "::rankview_snippet::call_main(&main, *rankview_context.arguments, " + as_literal(snippet_.file) + ")";
    text_ += value ? "return " + call + ";\n" : "::rankview_snippet::expect_zero(" + call + ");\n";
  }

  // What statements use before they give it a value is there from the beginning, in a scope around theirs, so that they may declare the
  // same name.
  void write_bindings() {
    std::vector<std::string> given;
    for (const Item& item : code_.items()) {
      if (item.kind != ItemKind::statement && item.kind != ItemKind::assignment) continue;
      const bool assigns = item.kind == ItemKind::assignment && !is_braced(item);
      for (std::string& local : code_.locals(item)) given.push_back(std::move(local));
      for (const std::string& name : assigns ? code_.names(item.begin + 2, item.end) : code_.names(item)) {
        if (!contains(given, name)) bind(name);
      }
      if (assigns) given.emplace_back(code_.tokens()[item.begin].text);
    }
  }
  void bind(const std::string& name) {
    const auto type = types_.find(name);
    if (type == types_.end() || !bound_.insert(name).second) return;
    text_ += made_here("variable:" + name) + "[[maybe_unused]] auto& " + name + " = " + place_of(name) + ";\n";
  }
  [[nodiscard]] std::string place_of(const std::string& name) {
    if (types_[name].starts_with("const ")) {
      if (name == "args") return "*rankview_context.arguments";
      if (name == "id" || name == "size") return "const_cast<const int&>(rankview_context." + name + ")";
    }
    return "rankview_context.get<::rankview_snippet::same<" + types_[name] + ">>(\"" + name + "\")";
  }

  [[nodiscard]] bool is_braced(const Item& item) const { return code_.tokens()[item.begin + 2] == "{"; }

  void note_line(const Token& at) { text_ += made_here("line") + "rankview_context.line = " + std::to_string(at.line) + ";\n"; }

  void write_assignment(const Item& item) {
    const Token& first = code_.tokens()[item.begin];
    const std::string name(first.text);
    const bool variable = bound_.contains(name) || given_.contains(name);
    note_line(first);
    if (locals_.contains(name) || (variable && is_braced(item))) {
      text_ += placed(snippet_.file, first, std::string(code_.text(item)) + ";");
      return;
    }
    if (is_braced(item))
      refuse(snippet_, first, "a new variable has the type of its value, which braces do not say: " + name + " = std::vector{...}, say");
    if (snippet_.block != 0 || library_.declares(name) != 0) {
      const int from = library_.declares(name);
      if (from != 0 && from == snippet_.block) {
        text_ += placed(snippet_.file, first, std::string(code_.text(item)) + ";");
        return;
      }
    }
    const Token& value = code_.tokens()[item.begin + 2];
    const std::string made = "rankview_value_" + std::to_string(++values_);
    const std::size_t end = code_.tokens()[item.end - 1] == ";" ? item.end - 1 : item.end;
    text_ += "auto " + made + " = ::rankview_snippet::kept(\n" + placed(snippet_.file, value, code_.text(item.begin + 2, end)) +
             made_here("line") + ");\n";
    if (introduced_.contains(name)) {
      text_ += "{\n";
      ++scopes_;
      introduced_.clear();
    }
    introduced_.insert(name);
    given_.insert(name);
    text_ += "[[maybe_unused]] auto& " + name + " = rankview_context.assign(\"" + name + "\", std::move(" + made + "));\n";
  }

  void write_statement(const Item& item, bool is_value) {
    const Token& first = code_.tokens()[item.begin];
    if (first.kind == TokenKind::directive) {
      text_ += placed(snippet_.file, first, code_.text(item));
      return;
    }
    // What follows a pragma belongs to that.
    if (item.begin == 0 || code_.tokens()[item.begin - 1].kind != TokenKind::directive) note_line(first);
    if (is_value && code_.is_expression(item)) text_ += "return\n";
    text_ += placed(snippet_.file, first, std::string(code_.text(item)) + (is_block(item) ? "" : ";"));
    for (std::string& local : code_.locals(item)) {
      introduced_.insert(local);
      locals_.insert(std::move(local));
    }
  }
  [[nodiscard]] bool is_block(const Item& item) const { return code_.tokens()[item.end - 1] == "}" && !code_.is_expression(item); }

  void write_entry(const std::string& space) {
    text_ += made_here("entry");
    text_ +=
        "extern \"C\" __attribute__((visibility(\"default\"))) void rankview_entry(::rankview_snippet::Context& rankview_context, "
        "[[maybe_unused]] void* rankview_result) {\n";
    text_ += "rankview_context.file = " + as_literal(snippet_.file) + ";\n";
    for (const std::string& name : referred_) {
      if (written_.contains(name)) text_ += "rankview_cell_" + name + " = &" + place_of(name) + ";\n";
    }
    text_ += "__asm__ volatile(\"\" ::: \"memory\");\n";
    const std::string body = space + "::rankview_body(rankview_context)";
    if (snippet_.result.empty()) {
      text_ += body + ";\n}\n";
      return;
    }
    const std::string type = "::rankview_snippet::same<" + snippet_.result + ">";
    text_ += "if (rankview_context.result_size != sizeof(" + type + ")) rankview_context.fail(rankview_context, true);\n";
    text_ += "::new (rankview_result) " + type + "(" + body + ");\n}\n";
  }

  const Snippet& snippet_;
  const TopLevel& code_;
  const Library& library_;
  std::map<std::string, std::string> types_;  // of variables
  std::set<int> blocks_;
  std::set<std::string> referred_;  // variables that declarations use
  std::set<std::string> written_;   // of these, those that are declared by now
  std::set<std::string> bound_;     // variables that the statements have from the beginning
  std::set<std::string> given_;     // those that they have given a value
  std::set<std::string> locals_;
  std::set<std::string> introduced_;  // names that the innermost scope has
  int scopes_ = 0;
  int values_ = 0;
  std::string text_;
};

}  // namespace

std::vector<std::string> names_to_ask(const Snippet& snippet, const Library& library) {
  std::vector<std::string> names = names_in(snippet.code);
  // Any block may be needed, since a variable may be of its types.
  const std::vector<std::string> of_blocks = library.names();
  names.insert(names.end(), of_blocks.begin(), of_blocks.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Program program_of(const Snippet& snippet, const Library& library, const std::vector<detail::NamedType>& variables) {
  return Writing(snippet, library, variables).write();
}

}  // namespace rankview::execute
