import AccessControl
import ArgumentParser
import Foundation
import Guise
import GuiseProtocol
import ToolSupport

struct TicketCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ticket",
        abstract: "Print a ticket by which a service may act as you, once.",
        discussion: """
            Examples:
              guise ticket --for files
              guise ticket --for files --level identification --json
              grpcurl -unix -plaintext -rpc-header "guise-ticket-bin: $(guise ticket --for files)" \\
                  -proto files.proto /run/files.sock files.Files/Read

            For gRPC clients that no interceptor serves: the metadata guise-ticket-bin of one call.
            Printed in base64. Until it was used, whoever has it can send it to that service.
            """)

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "The account that the service runs under, by name or SID. Nobody else can use the ticket.",
            valueName: "service"))
    var server: String
    @Option(
        help: """
            What the service may do with your identity: anonymous, identification, impersonation (else) or \
            delegation.
            """, completion: .list(Level.allCases.map(\.rawValue)))
    var level: Level?
    @Flag(help: "Leave out groups and privileges that are not enabled.")
    var effectiveOnly = false
    @Option(help: ArgumentHelp("For how long, 1 to 300 (else 30).", valueName: "seconds"))
    var lifetime: Int = 30
    @OptionGroup var output: OutputOptions
    @OptionGroup var runtime: RuntimeOptions

    enum Level: String, CaseIterable, ExpressibleByArgument {
        case anonymous, identification, impersonation, delegation

        var impersonationLevel: ImpersonationLevel {
            switch self {
            case .anonymous: .anonymous
            case .identification: .identification
            case .impersonation: .impersonation
            case .delegation: .delegation
            }
        }
    }

    private struct TicketView: Encodable {
        let ticket: String
        let server: String
        let level: String
        let lifetime: Int64
    }

    func validate() throws {
        guard (1...300).contains(lifetime) else {
            throw ValidationError("A ticket lives for 1 to 300 seconds.")
        }
    }

    func run() throws {
        let ticket = try Ticket.issue(
            for: server, level: level?.impersonationLevel, effectiveOnly: effectiveOnly,
            lifetime: .seconds(lifetime), runtimeDirectory: runtime.directory)
        let text = Data(ticket.bytes).base64EncodedString()
        guard output.json else { return Tool.say(text) }
        try JSON.show(
            TicketView(
                ticket: text, server: ticket.server.description, level: ticket.level.description,
                lifetime: ticket.lifetime.components.seconds))
    }
}
