#include "agent/pod_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

namespace tributary::agent {
namespace {

class PodFileTest : public testing::Test {
 protected:
  ~PodFileTest() override { std::filesystem::remove(path_); }

  // With a time of its own: two writes within the clock's grain would look like one.
  void Write(const std::string& content) {
    std::ofstream(path_) << content;
    std::filesystem::last_write_time(path_, std::filesystem::file_time_type(std::chrono::seconds(++writes_)));
  }
  void WriteOnePod(const std::string& uid) { Write(R"({"items":[{"metadata":{"uid":")" + uid + R"(","name":"p"}}]})"); }
  void LookAgain() {
    loop_.Advance(std::chrono::seconds(1));
    loop_.RunOnce(base::Nanos(0));
  }

  const std::string path_ = testing::TempDir() + "/pods." + std::to_string(::getpid());
  int writes_ = 0;
  base::Loop loop_;
  Pods pods_;
};

TEST_F(PodFileTest, IsReadAtTheStartAndWheneverItChanges) {
  WriteOnePod("a");
  const PodFile file(loop_, pods_, path_, {});
  EXPECT_NE(pods_.Find("a", "").pod, nullptr);
  WriteOnePod("b");
  LookAgain();
  EXPECT_NE(pods_.Find("b", "").pod, nullptr);
  EXPECT_EQ(pods_.present().size(), 1u);
}

TEST_F(PodFileTest, LeavesWhatIsKnownWhenItIsMissingOrDamaged) {
  WriteOnePod("a");
  const PodFile file(loop_, pods_, path_, {});
  Write("{\"items\":");
  LookAgain();
  EXPECT_THAT(file.error(), testing::HasSubstr("malformed JSON"));
  std::filesystem::remove(path_);
  LookAgain();
  EXPECT_THAT(file.error(), testing::HasSubstr("No such file"));
  EXPECT_EQ(pods_.present().size(), 1u);
  WriteOnePod("b");
  LookAgain();
  EXPECT_EQ(file.error(), "");
  EXPECT_NE(pods_.Find("b", "").pod, nullptr);
}

}  // namespace
}  // namespace tributary::agent
