import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import java.util.Objects;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.ClientRegistrations;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtDecoders;
import org.springframework.security.oauth2.jwt.JwtException;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

/** Reads Keyturn's discovery document and an access token with Spring Security and Nimbus, as an application does. */
public class Discovery {
  public static void main(String[] args) throws Exception {
    String issuer = args[0], resource = args[1], token = args[2], typJwt = args[3];
    System.out.println("nimbus " + OIDCProviderMetadata.resolve(new Issuer(issuer)).getTokenEndpointURI());
    System.out.println("spring-client " + registrationOf(issuer).getProviderDetails().getTokenUri());
    System.out.println("spring-default " + subjectOf(JwtDecoders.fromIssuerLocation(issuer), token));
    System.out.println("spring-default-typ-jwt " + subjectOf(JwtDecoders.fromIssuerLocation(issuer), typJwt));
    System.out.println("spring-at+jwt " + subjectOf(jwtDecoder(issuer, resource), token));
    System.out.println("spring-other-audience " + subjectOf(jwtDecoder(issuer, "https://other.example"), token));
  }

  static ClientRegistration registrationOf(String issuer) {
    return ClientRegistrations.fromIssuerLocation(issuer)
        .clientId("kti_example")
        .clientSecret("kts_example")
        .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
        .build();
  }

  // docs/resource-servers.md shows these lines.
  static JwtDecoder jwtDecoder(String issuer, String resource) {
    NimbusJwtDecoder decoder = NimbusJwtDecoder.withIssuerLocation(issuer).validateType(false).build();
    decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
        .issuer(issuer)
        .audience(resource)
        .validators(all -> all.put("client_id", new JwtClaimValidator<>("client_id", Objects::nonNull)))
        .build());
    return decoder;
  }

  static String subjectOf(JwtDecoder decoder, String token) {
    try {
      return decoder.decode(token).getSubject();
    } catch (JwtException refused) {
      return "refused: " + refused.getMessage();
    }
  }
}
