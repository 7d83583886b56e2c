import Foundation
import Testing

@testable import sd

@Suite("sd check --batch")
struct BatchTests {
    /// A question and what is to be answered, both as in docs/sd-batch.md.
    struct Case: CustomTestStringConvertible {
        let name: String
        let question: String
        let answer: String
        var testDescription: String { name }
    }

    static let cases = [
        Case(
            name: "grants what an entry grants",
            question: """
                {"id": 1, "sd": "O:SYD:(A;;FR;;;WD)", "desired": "read",
                 "token": {"user": "S-1-5-7", "groups": ["S-1-1-0"]}}
                """,
            answer: #"{"allowed":true,"granted":1179785,"id":1}"#),
        Case(
            name: "judges by integrity, and MAXIMUM_ALLOWED",
            question: """
                {"id": "two", "sd": "O:SYD:(D;;FW;;;WD)(A;;FA;;;WD)", "maximum": true, "token": {
                 "user": "S-1-5-21-1-2-3-1000", "groups": [{"sid": "S-1-1-0", "attributes": 7}], "integrity": "low"}}
                """,
            answer: #"{"allowed":true,"granted":169,"id":"two"}"#),
        Case(
            name: "counts a deny-only group where it denies only",
            question: """
                {"sd": "O:SYD:(A;;FA;;;BA)", "desired": 1,
                 "token": {"user": "S-1-5-7", "groups": [{"sid": "S-1-5-32-544", "attributes": "0x10"}]}}
                """,
            answer: #"{"allowed":false,"granted":0}"#),
        Case(
            name: "intersects with restricting SIDs",
            question: """
                {"sd": "O:SYD:(A;;FA;;;WD)(A;;FR;;;RC)", "desired": 2, "token": {"user": "S-1-5-7",
                 "groups": ["S-1-1-0"], "restricted": ["S-1-5-12"]}}
                """,
            answer: #"{"allowed":false,"granted":0}"#),
        Case(
            name: "knows the backup intent, and privileges that are not enabled",
            question: """
                {"sd": "O:SYD:P", "desired": "read", "intent": "backup", "token": {"user": "S-1-5-7",
                 "privileges": ["SeBackupPrivilege", {"privilege": 18, "enabled": false}]}}
                """,
            answer: #"{"allowed":true,"granted":1179785,"privilegesUsed":["SeBackupPrivilege"]}"#),
        Case(
            name: "names the privilege that is missing",
            question: """
                {"sd": "O:SYD:(A;;FA;;;WD)", "desired": "0x1000000", "token": {"user": "S-1-5-7"}}
                """,
            answer: #"{"allowed":false,"granted":0,"missingPrivilege":"SeSecurityPrivilege"}"#),
        Case(
            name: "evaluates conditions over claims",
            question: """
                {"sd": "O:SYD:(XA;;FR;;;WD;(@User.clearance >= 3))", "desired": 1, "token": {"user": "S-1-5-7",
                 "groups": ["S-1-1-0"],
                 "claims": {"user": [{"name": "clearance", "type": "TI", "values": [5]}]}}}
                """,
            answer: #"{"allowed":true,"granted":1}"#),
        Case(
            name: "takes a mapping of its own",
            question: """
                {"sd": "O:SYD:(A;;GR;;;WD)", "desired": "0x80000000", "token": {"user": "S-1-5-7",
                 "groups": ["S-1-1-0"]}, "mapping": {"read": 1, "write": 2, "execute": 4, "all": 7}}
                """,
            answer: #"{"allowed":true,"granted":1}"#),
        Case(
            name: "answers for each node of a tree",
            question: """
                {"sd": "O:SYD:(OA;;CR;00299570-246d-11d0-a768-00aa006e0529;;WD)", "desired": 256,
                 "mapping": "directory", "token": {"user": "S-1-5-7", "groups": ["S-1-1-0"]}, "tree": [
                 {"level": 0, "guid": "bf967aba-0de6-11d0-a285-00aa003049e2"},
                 {"level": 1, "guid": "00299570-246d-11d0-a768-00aa006e0529"},
                 {"level": 1, "guid": "bf967950-0de6-11d0-a285-00aa003049e2"}]}
                """,
            answer: #"{"allowed":false,"granted":0,"list":[{"allowed":false,"granted":0},"#
                + #"{"allowed":true,"granted":256},{"allowed":false,"granted":0}]}"#),
        Case(
            name: "resolves PRINCIPAL_SELF",
            question: """
                {"sd": "O:SYD:(A;;0x1;;;PS)", "desired": 1, "self": "S-1-5-21-1-2-3-1000",
                 "token": {"user": "S-1-5-21-1-2-3-1000"}}
                """,
            answer: #"{"allowed":true,"granted":1}"#),
        Case(
            name: "applies a central policy and reports its staged form",
            question: """
                {"sd": "O:SYD:(A;;FA;;;WD)S:(SP;;;;;S-1-17-1)", "desired": "0x3", "token": {"user": "S-1-5-7",
                 "groups": ["S-1-1-0"], "integrity": "medium"}, "policies": [{"id": "S-1-17-1", "rules":
                 [{"name": "all", "dacl": "D:(A;;FA;;;WD)", "staged": "D:(A;;FR;;;WD)"}]}]}
                """,
            answer: #"{"allowed":true,"granted":3,"staged":0}"#),
        Case(
            name: "takes domain aliases from the domain",
            question: """
                {"sd": "O:SYD:(A;;FA;;;DA)", "domain": "S-1-5-21-1-2-3", "desired": 1,
                 "token": {"user": "S-1-5-7", "groups": ["S-1-5-21-1-2-3-512"]}}
                """,
            answer: #"{"allowed":true,"granted":1}"#),
    ]

    @Test("answers as its documentation says", arguments: cases)
    func golden(sample: Case) {
        #expect(Batch().answer(sample.question) == sample.answer)
    }

    @Test("reads descriptors in hexadecimal as they stand")
    func hexadecimal() {
        let sd =
            "010004803000000000000000000000001400000002001c000100000000001400ff011f00"
            + "01010000000000051200000001020000000000052000000020020000"
        let question = #"{"sd": "\#(sd)", "desired": "full", "token": {"user": "S-1-5-18"}}"#
        #expect(Batch().answer(question) == #"{"allowed":true,"granted":2032127}"#)
    }

    @Test(
        "says what is wrong with a question, and which it was",
        arguments: [
            (#"{"id":4,"sd":"O:SYD:(X","desired":1,"token":{"user":"S-1-5-7"}}"#, "sd: column 8"),
            (
                #"{"id":4,"sd":"O:SYD:","desired":1,"token":{"user":"S-1-5-7","frobs":1}}"#,
                #""frobs" is not known"#
            ),
            (#"{"id":4,"sd":"D:","desired":1,"token":{"user":"S-1-5-7"}}"#, "has no owner"),
            (#"{"id":4,"sd":"0100","desired":1,"token":{"user":"S-1-5-7"}}"#, "20 bytes"),
            (#"{"id":4,"sd":"O:SYD:","token":{"user":"S-1-5-7"}}"#, #""desired" is missing"#),
            (#"{"id":4,"sd":"O:SYD:","desired":1,"token":{}}"#, #""user" is missing"#),
            (#"{"id":4,"sd":"O:SYD:","desired":"frob","token":{"user":"S-1-5-7"}}"#, "desired: "),
            (#"{"id":4,"sd":"O:SYD:","desired":-1,"token":{"user":"S-1-5-7"}}"#, "desired: "),
            (#"{"id":4,"sd":"O:SYD:","desired":1,"token":{"user":"alice"}}"#, "token.user: not a SID"),
            (#"{"id":4,"sd":"O:SYD:","desired":1,"tree":[],"token":{"user":"S-1-5-7"}}"#, "tree: "),
            (
                #"{"id":4,"sd":"O:SYD:","desired":1,"token":{"user":"S-1-5-7","privileges":["SeNoPrivilege"]}}"#,
                "SeNoPrivilege"
            ),
        ])
    func errors(question: String, words: String) throws {
        struct Answer: Decodable {
            let id: Int
            let allowed: Bool
            let granted: UInt32
            let error: String
        }
        let answer = try JSONDecoder().decode(Answer.self, from: Data(Batch().answer(question).utf8))
        #expect(answer.id == 4 && !answer.allowed && answer.granted == 0)
        #expect(answer.error.contains(words), "\(answer.error)")
    }

    @Test("goes on after a line that is no question, and needs no authority")
    func process() throws {
        let outcome = try runAlone(
            "sd", ["check", "--batch"],
            input: """
                nonsense

                {"sd": "O:SYD:NO_ACCESS_CONTROL", "desired": 1, "token": {"user": "S-1-5-7"}}

                """)
        let lines = outcome.output.split(separator: "\n")
        #expect(outcome.status == 0)
        #expect(lines.count == 2)
        #expect(lines.first?.contains(#""error":"#) == true)
        #expect(lines.last == #"{"allowed":true,"granted":1}"#)
    }
}
