# fuzz_corpus_test: every fuzzer of this directory as a plain function, run over its corpus by gtest.
file(GLOB FUZZ_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/*_fuzz.cc)
set(DECLARATIONS "")
set(ENTRIES "")
foreach(SOURCE ${FUZZ_SOURCES})
  get_filename_component(NAME ${SOURCE} NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" NAME ${NAME})
  # All targets bear the one name that libFuzzer calls; here each gets its own.
  set_source_files_properties(${SOURCE} PROPERTIES COMPILE_DEFINITIONS LLVMFuzzerTestOneInput=archipel_fuzz_${NAME})
  string(APPEND DECLARATIONS "extern \"C\" int archipel_fuzz_${NAME}(const unsigned char*, unsigned long);\n")
  string(APPEND ENTRIES "    {\"${NAME}\", archipel_fuzz_${NAME}},\n")
endforeach()
list(LENGTH FUZZ_SOURCES FUZZ_COUNT)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/fuzz_table.cc @ONLY CONTENT "@DECLARATIONS@
struct Fuzzer {
  const char* name;
  int (*run)(const unsigned char*, unsigned long);
};
extern const Fuzzer kFuzzers[];
extern const unsigned long kFuzzersCount;
const Fuzzer kFuzzers[] = {
@ENTRIES@};
const unsigned long kFuzzersCount = @FUZZ_COUNT@;
")
add_executable(fuzz_corpus_test ${FUZZ_SOURCES} ${CMAKE_BINARY_DIR}/fuzz_table.cc ${CMAKE_SOURCE_DIR}/fuzz/corpus_test.cc
                                ${CMAKE_SOURCE_DIR}/fuzz/seeds.cc)
target_link_libraries(fuzz_corpus_test PRIVATE archipel_app archipel_test_support GTest::gtest GTest::gtest_main)
add_test(NAME fuzz_corpus COMMAND fuzz_corpus_test)
