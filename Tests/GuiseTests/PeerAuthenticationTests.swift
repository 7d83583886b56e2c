import Foundation
import Testing

@Suite(
    "A database with peer authentication", .asRoot,
    .enabled(
        if: Database.isPossible,
        "needs PostgreSQL (Debian: postgresql), and four system users in the user database"))
struct PeerAuthenticationTests {
    @Test("the impersonated client logs in as itself; the service cannot, nor anybody as somebody else")
    func peer() throws {
        try onStage { (stage) throws in
            let users = Database.machineUsers
            let alice = try stage.user("alice", uid: users[0].uid)
            let bob = try stage.user("bob", uid: users[1].uid)
            let service = try stage.serve(
                try stage.service("files", uid: users[2].uid, privileges: ["SeImpersonatePrivilege"]))
            let database = try Database(
                stage, as: users[3].uid, roles: [(users[0].name, "alice"), (users[1].name, "bob")])
            let hers = try service.client(alice)
            let his = try service.client(bob)
            func logIn(_ client: Client, as role: String, atMost level: String = "delegation") throws
                -> String
            {
                var answer = ""
                try eventually("the database to have started") {
                    answer =
                        try client.acting("postgres \(database.socket) \(role)", atMost: level).value
                        ?? "error"
                    return !answer.contains("starting up")
                }
                return answer
            }
            let refused = "refused Peer authentication failed for user"
            #expect(try logIn(hers, as: "alice") == "logged in as alice")
            #expect(try logIn(hers, as: "bob") == "\(refused) \"bob\"")
            #expect(try logIn(his, as: "bob") == "logged in as bob")
            for role in ["alice", "bob"] {
                #expect(try hers.ask("postgres \(database.socket) \(role)").value == "\(refused) \"\(role)\"")
                #expect(try logIn(hers, as: role, atMost: "identification") == "\(refused) \"\(role)\"")
                #expect(try logIn(hers, as: role, atMost: "anonymous") == "\(refused) \"\(role)\"")
            }
        }
    }
}
