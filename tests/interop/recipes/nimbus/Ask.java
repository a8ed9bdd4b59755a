import java.io.BufferedReader;
import java.io.InputStreamReader;

/** Reads a token a line, and answers each with "accepted" or with why not. */
final class Ask {
    public static void main(String[] arguments) throws Exception {
        var tokens = new BufferedReader(new InputStreamReader(System.in));
        for (String token = tokens.readLine(); token != null; token = tokens.readLine()) {
            System.out.println(verdict(token));
        }
    }

    private static String verdict(String token) {
        try {
            Verify.verify(token);
            return "accepted";
        } catch (Exception refusal) {
            return String.valueOf(refusal).replace('\n', ' ');
        }
    }
}
