import CGuise
import Glibc
import ToolSupport

/// One thing that Guise needs of the machine, and how it was found to be.
struct Finding: Encodable, Equatable {
    enum State: String, Encodable {
        case ok
        /// It goes without, or could not be tried; the finding says what that means.
        case limited
        case missing
    }

    let name: String
    let state: State
    /// Whether nothing works without it.
    let required: Bool
    /// What it is for.
    let purpose: String
    /// What was found.
    let detail: String?
    /// How to get it, when it is not there.
    let remedy: String?

    init(
        _ name: String, _ state: State, required: Bool = true, for purpose: String, detail: String? = nil,
        remedy: String? = nil
    ) {
        self.name = name
        self.state = state
        self.required = required
        self.purpose = purpose
        self.detail = detail
        self.remedy = state == .ok ? nil : remedy
    }

    /// What came of a trial: 0, a negative errno, or that something before it failed.
    ///
    /// - Parameter without: what an optional thing's absence means; nil for what is required.
    init(
        _ name: String, of result: Int32, for purpose: String, detail: String? = nil, without: String? = nil,
        remedy: String
    ) {
        let failure: String? =
            switch result {
            case ..<0: String(cString: strerror(-result))
            case GUISE_NOT_TRIED: "not tried: something that it needs is missing"
            default: nil
            }
        let details = [failure, failure == nil ? nil : without, detail].compactMap(\.self)
        self.init(
            name, failure == nil ? .ok : without == nil ? .missing : .limited, required: without == nil,
            for: purpose, detail: details.isEmpty ? nil : details.joined(separator: "; "), remedy: remedy)
    }

    /// Whether Guise cannot work for want of this.
    var isObstacle: Bool { required && state == .missing }

    /// On one line, the name padded.
    func line(width: Int) -> String {
        let (word, colour): (String, Terminal.Colour) =
            switch state {
            case .ok: ("ok     ", .green)
            case .limited: ("limited", .yellow)
            case .missing: ("missing", .red)
            }
        let padding = String(repeating: " ", count: max(0, width - name.count))
        var text = "\(name)\(padding)  \(purpose)"
        if let detail { text += " (\(detail))" }
        if let remedy { text += "; \(remedy)" }
        return Terminal.painted(word, colour) + "  " + visible(text)
    }
}
