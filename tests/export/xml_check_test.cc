#include "tests/export/xml_check.h"

#include <gtest/gtest.h>

namespace jprof {
namespace {

TEST(XmlCheckTest, WellFormedIsAccepted) {
  EXPECT_EQ(
      XmlError(
          "<?xml version=\"1.0\"?>\n<a b=\"&quot;\" c=\"\"><d/>x&amp;&#39;<![CDATA[<]]></a>\n"),
      "");
}

TEST(XmlCheckTest, EachFaultIsFound) {
  for (const char* xml : {"",
                          "x",
                          "<a>",
                          "</a>",
                          "<a></b>",
                          "<a/><b/>",
                          "<a>&</a>",
                          "<a>&x;</a>",
                          "<a>]]></a>",
                          "<a b=\"<\"/>",
                          "<a b='c'/>",
                          "<a b=\"1\" b=\"2\"/>",
                          "<a><![CDATA[</a>",
                          "<a>\x01</a>",
                          "<a>\xff</a>",
                          "<a>\xef\xbf\xbf</a>",
                          "<a b=\"&\"/>",
                          "<a",
                          "<a b=\"",
                          "<>",
                          "<a/>x"}) {
    EXPECT_NE(XmlError(xml), "") << xml;
  }
}

}  // namespace
}  // namespace jprof
