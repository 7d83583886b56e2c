import ArgumentParser
import Guise
import ToolSupport

extension IdnCommand {
    struct Elevation: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell whether a token is elevated, filtered, or one of a linked pair.",
            discussion: """
                Examples:
                  idn elevation
                  idn elevation 4711/4713 --json

                Type: Default for a token that is not one of a pair, Full for the half with
                all rights, Limited for the filtered half. Elevated is a token that has
                what administrators have.
                """)

        @OptionGroup var subject: SubjectOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        private struct View: Encodable {
            let user: NamedSID
            let integrity: String
            let elevation: Identity.Elevation
        }

        func run() throws {
            let identity = try subject.identity(runtime)
            guard let elevation = identity.elevation else { throw AuthorityClient.surprise }
            if output.json {
                return try JSON.show(
                    View(user: identity.user, integrity: identity.integrity, elevation: elevation))
            }
            Tool.say("User: \(identity.user)")
            Tool.say("Elevated: \(elevation.elevated ? "yes" : "no")")
            Tool.say("Type: \(elevation.type)")
            Tool.say("Linked Token: \(elevation.linked ? "yes" : "no")")
            let restriction = elevation.writeRestricted ? "for writing" : "yes"
            Tool.say("Restricted: \(elevation.restricted ? restriction : "no")")
            Tool.say("Integrity: \(identity.integrity)")
        }
    }
}
